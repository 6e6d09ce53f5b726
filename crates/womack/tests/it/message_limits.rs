//! Namespaces with more messages than they may have, and the channels that bring most.

use serde_json::{Value, json};
use womack_test_support::ticker::millis;
use womack_test_support::{Client, Launch, Lines, Redis, Server, eventually, http, metrics};

/// Publishes the numbers from 1 to `count` at one go, so that they come in one second.
async fn publish_numbers(redis: &Redis, redis_channel: &str, count: u32) {
    let script = "for i = 1, ARGV[2] do redis.call('publish', ARGV[1], tostring(i)) end";
    let count = count.to_string();
    redis
        .command(&["EVAL", script, "0", redis_channel, &count])
        .await;
}

#[tokio::test]
async fn messages_over_the_limit_of_a_namespace_are_told_as_one_gap() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .arg("--gap-notices")
        .flag("--namespace", "/n=k:n")
        .flag("--max-messages-per-second", "/n=5")
        .start()
        .await;
    let address = server.address();
    let mut limited = Client::connect_to(address, "/n").await;
    limited.subscribe("hot").await;
    limited.subscribe("quiet").await;
    let mut free = Lines::connect(address).await;
    free.subscribe("hot").await;

    let from = millis();
    // All in one second.
    let script = "for i = 1, 20 do
        redis.call('publish', 'k:n:hot', tostring(i))
        redis.call('publish', 'womack:ns:default:hot', tostring(i))
    end
    redis.call('publish', 'k:n:quiet', '\"not limited\"')";
    redis.command(&["EVAL", script, "0"]).await;
    let to = millis();
    for number in 1..=5 {
        assert_eq!(limited.message("hot").await, number.to_string());
    }
    assert_eq!(limited.message("quiet").await, "\"not limited\"");
    for number in 1..=20 {
        assert_eq!(free.message("hot").await, number.to_string());
    }

    // The gap comes at the end of the second, and before what follows.
    let packet = limited.packet().await;
    let event = packet.strip_prefix("42/n,").expect("an event of /n");
    let event: Value = serde_json::from_str(event).expect("JSON");
    assert_eq!(event[0], "womack:gap");
    let gap = &event[1];
    let expected = (&json!(["hot"]), &json!("rate_limit"));
    assert_eq!((&gap["channels"], &gap["reason"]), expected, "{gap}");
    let (told_from, told_to) = (gap["from"].as_u64(), gap["to"].as_u64());
    assert!(told_from <= Some(from) && told_to >= Some(to), "{gap}");
    redis.command(&["PUBLISH", "k:n:hot", "21"]).await;
    assert_eq!(limited.message("hot").await, "21");

    let of_namespace = r#"namespace="/n""#;
    let dropped = "womack_namespace_messages_dropped_total";
    metrics::reaches(address, dropped, of_namespace, 15.0).await;
    metrics::limit(address, "max_messages_per_second", 15.0).await;
    let read = metrics::Metrics::of(address).await;
    let messages = "womack_namespace_messages_total";
    assert_eq!(read.sum(messages, of_namespace), 22.0);
    assert_eq!(read.sum(messages, r#"namespace="/""#), 20.0);
    let rejected = "womack_messages_rejected_total";
    assert_eq!(read.sum(rejected, r#"reason="rate_limit""#), 15.0);
    assert_eq!(read.sum("womack_redis_gaps_total", ""), 0.0);
    server.logged("has more messages than").await;
}

#[tokio::test]
async fn without_gap_notices_messages_over_the_limit_are_counted_all_the_same() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-messages-per-second", "5")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("hot").await;
    publish_numbers(&redis, "womack:ns:default:hot", 20).await;
    metrics::limit(server.address(), "max_messages_per_second", 15.0).await;
    for number in 1..=5 {
        assert_eq!(client.message("hot").await, number.to_string());
    }
    let silent = metrics::Metrics::of(server.address()).await;
    assert_eq!(silent.sum("womack_gap_notices_total", ""), 0.0);
    let refusal = Launch::new(&redis)
        .flag("--max-messages-per-second", "/n=many")
        .refused()
        .await;
    assert_eq!(refusal.code, Some(2));
}

#[tokio::test]
async fn the_channel_that_brings_most_messages_is_told_of_though_others_have_had_more() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    for channel in ["old", "hot"] {
        client.subscribe(channel).await;
    }
    publish_numbers(&redis, "womack:ns:default:old", 500).await;
    eventually("the busiest channel to be told", async || {
        publish_numbers(&redis, "womack:ns:default:hot", 20).await;
        let stats = http::get(server.address(), "/stats").await;
        let stats: Value = serde_json::from_slice(&stats.bytes).expect("JSON");
        let hot = &stats["channels"]["hot"][0];
        let namespace = &stats["namespaces"][0];
        let is_counted = namespace["path"] == "/" && namespace["messages"].as_u64() > Some(500);
        hot["channel"] == "hot"
            && hot["subscribers"] == 1
            && hot["messages_per_second"].as_f64() > Some(0.0)
            && hot["bytes_per_second"].as_f64() > Some(0.0)
            && is_counted
    })
    .await;
}
