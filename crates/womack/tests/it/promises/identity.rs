//! A Redis that stays connected and is not the one that it was.

use serde_json::json;
use womack_test_support::{Broker, Client, Launch, Redis, eventually, metrics};

#[tokio::test]
async fn a_master_that_is_demoted_by_hand_is_a_gap() {
    let (old, new) = (Redis::start().await, Redis::start().await);
    let server = Launch::new(&old).arg("--gap-notices").start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    assert_eq!(old.publish("a", "1").await, 1);
    assert_eq!(client.message("a").await, "1");
    let port = new.address().port().to_string();
    old.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    // Lost for whoever is connected to the old master.
    new.publish("a", "2").await;
    let packet = client.find(|packet| packet.contains("womack:gap")).await;
    assert!(packet.contains(r#""channels":["a"]"#), "{packet}");
    server.logged("is a replica").await;
    eventually("messages to come by way of the replica", async || {
        let read = metrics::Metrics::of(server.address()).await;
        let before = read.sum("womack_messages_received_total", "");
        new.publish("a", "3").await;
        let read = metrics::Metrics::of(server.address()).await;
        read.sum("womack_messages_received_total", "") > before
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_does_not_tell_its_identity_is_warned_of_once_and_serves() {
    let redis = Redis::start().await;
    let user = [
        "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-info",
    ];
    redis.command(&user).await;
    let url = format!("redis://app:secret@{}", redis.address());
    let server = Launch::new(&redis).flag("--redis-url", &url).start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let warning = server
        .logged("cannot check that redis is still the master")
        .await;
    assert!(warning.contains("+info"), "{warning}");
    for _ in 0..2 {
        let gaps = metrics::Metrics::of(server.address()).await;
        let gaps = gaps.sum("womack_redis_gaps_total", "");
        redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        let name = "womack_redis_gaps_total";
        metrics::reaches(server.address(), name, "", gaps + 1.0).await;
        // The loss is counted before the shards hear of it, so an answer alone proves nothing: what is
        // killed before the channel is back is a part of the same gap.
        eventually("SUBSCRIBE", async || redis.subscribers("a").await == 1).await;
        let answer = client.call("subscribe", &json!("a")).await;
        assert_eq!(answer["ok"], true);
    }
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
    let log = server.log();
    let is_warning = |line: &&String| {
        line.contains("cannot check that redis is still the master")
            && line.contains("\"subscriber\"")
    };
    assert_eq!(log.iter().filter(is_warning).count(), 1);
}
