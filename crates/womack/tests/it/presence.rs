//! Who is in a channel: the client event `presence`, over all nodes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::interval;
use womack_test_support::clients::Drivers;
use womack_test_support::events::KEY;
use womack_test_support::{Client, Launch, Redis, Signal, metrics, within};

fn launch(redis: &Redis) -> Launch {
    Launch::new(redis)
        .flag("--events-key", KEY)
        .flag("--node-timeout-seconds", "1")
        .arg("--namespace=/chat")
        .arg("--namespace=/quiet")
        .arg("--presence=/")
        .arg("--presence=/chat")
}

async fn presence(client: &mut Client, channel: &str) -> (u64, Vec<Value>) {
    let answer = client
        .call("presence", &json!({ "channel": channel }))
        .await;
    assert_eq!(answer["ok"], true, "{answer}");
    let mut members = answer["members"].as_array().expect("a list").clone();
    members.sort_by_key(Value::to_string);
    (answer["count"].as_u64().expect("a number"), members)
}

/// Asks again and again until channel `a` has so many members.
async fn becomes(client: &mut Client, count: u64) {
    within("another number of members", async {
        // A client that asks without a pause asks too often.
        let mut asks = interval(Duration::from_millis(20));
        while presence(client, "a").await.0 != count {
            asks.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn members_of_all_nodes_are_found() {
    let redis = Redis::start().await;
    let (one, other) = (launch(&redis).start().await, launch(&redis).start().await);
    let mut ann = Client::connect(one.address()).await;
    let mut bob = Client::connect(other.address()).await;
    assert_eq!(presence(&mut ann, "a").await, (0, vec![]));
    ann.call("meta", &json!({ "name": "ann" })).await;
    ann.subscribe("a").await;
    // Whoever has joined is there as soon as it asks.
    assert_eq!(
        presence(&mut ann, "a").await,
        (1, vec![json!({ "name": "ann" })])
    );
    bob.subscribe("a").await;
    bob.call("presence", &json!("a")).await;
    let both = vec![json!(null), json!({ "name": "ann" })];
    assert_eq!(presence(&mut ann, "a").await, (2, both));
    // What a client says of itself later is told as well.
    bob.call("meta", &json!({ "name": "bob" })).await;
    let both = vec![json!({ "name": "ann" }), json!({ "name": "bob" })];
    assert_eq!(presence(&mut bob, "a").await, (2, both));
    bob.close().await;
    becomes(&mut ann, 1).await;
    ann.unsubscribe("a").await;
    assert_eq!(presence(&mut ann, "a").await, (0, vec![]));
}

#[tokio::test]
async fn members_of_a_node_that_died_are_not_counted_for_long() {
    let redis = Redis::start().await;
    let (one, mut dead) = (launch(&redis).start().await, launch(&redis).start().await);
    let mut ann = Client::connect(one.address()).await;
    let mut bob = Client::connect(dead.address()).await;
    ann.subscribe("a").await;
    bob.subscribe("a").await;
    presence(&mut bob, "a").await;
    assert_eq!(presence(&mut ann, "a").await.0, 2);
    dead.signal(Signal::Kill).await;
    dead.exit().await;
    becomes(&mut ann, 1).await;
}

#[tokio::test]
async fn every_library_may_ask_in_every_namespace_that_has_presence() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let drivers = Drivers::default();
    for path in ["/", "/chat"] {
        let mut clients = drivers.everyone(&server.url(path)).await;
        for client in &mut clients {
            client.subscribe("a").await;
        }
        for client in &mut clients {
            let answer = client.call("presence", json!({ "channel": "a" })).await;
            assert_eq!(
                answer["ok"],
                true,
                "{:?} {path}: {answer}",
                client.flavour()
            );
        }
        let answer = clients[0].call("presence", json!({ "channel": "a" })).await;
        assert_eq!(answer["count"], clients.len(), "{path}: {answer}");
    }
}

#[tokio::test]
async fn presence_is_forbidden_where_it_is_not_enabled() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut client = Client::connect_to(server.address(), "/quiet").await;
    let answer = client.call("presence", &json!({ "channel": "a" })).await;
    assert_eq!(answer["error"], "forbidden", "{answer}");
}

#[tokio::test]
async fn invalid_presence_queries_are_refused() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut client = Client::connect(server.address()).await;
    for (argument, code) in [
        (json!({}), "bad_request"),
        (json!({ "channel": 1 }), "bad_request"),
        (json!({ "channels": ["a", "b"] }), "bad_request"),
        (json!({ "channel": "connect" }), "bad_channel"),
    ] {
        let answer = client.call("presence", &argument).await;
        assert_eq!(answer["error"], code, "{argument}: {answer}");
    }
}

#[tokio::test]
async fn members_are_limited_and_the_count_is_not() {
    let redis = Redis::start().await;
    let launch = launch(&redis).flag("--max-presence-members", "150");
    let (one, other) = (launch.clone().start().await, launch.start().await);
    let mut clients = Vec::new();
    for number in 0..200 {
        let server = if number % 4 == 0 { &one } else { &other };
        let mut client = Client::connect(server.address()).await;
        // Too long for Redis to keep them as a list.
        client.call("meta", &json!([number, "x".repeat(100)])).await;
        client.subscribe("a").await;
        clients.push(client);
    }
    for client in &mut clients {
        presence(client, "b").await;
    }
    let (count, mut members) = presence(&mut clients[0], "a").await;
    assert_eq!((count, members.len()), (200, 150));
    members.dedup();
    assert_eq!(members.len(), 150, "nobody is named twice");
    metrics::limit(one.address(), "max_presence_members", 1.0).await;
}

#[tokio::test]
async fn presence_queries_over_max_waiting_acks_are_unavailable() {
    let redis = Redis::start().await;
    let server = launch(&redis)
        .flag("--shards", "1")
        .flag("--max-waiting-acks", "1")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    // For some seconds Redis answers nobody, and then everybody.
    redis.command(&["CLIENT", "PAUSE", "3000", "ALL"]).await;
    let waiting = client.ask("presence", &json!("a")).await;
    let answer = client.call("presence", &json!("a")).await;
    assert_eq!(answer["error"], "unavailable", "{answer}");
    metrics::limit(server.address(), "max_waiting_acks", 1.0).await;
    let answer = client.answer(waiting).await;
    assert_eq!((&answer["ok"], &answer["count"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn presence_is_unavailable_while_redis_is_away() {
    let mut redis = Redis::start().await;
    let launch = launch(&redis).flag("--subscribe-timeout-seconds", "0.3");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    redis.stop().await;
    server.unready().await;
    let answer = client.call("presence", &json!({ "channel": "a" })).await;
    assert_eq!(answer["error"], "unavailable", "{answer}");
    redis.resume().await;
    server.ready().await;
    within("presence to be back", async {
        while client.call("presence", &json!("a")).await["ok"] != true {}
    })
    .await;
}
