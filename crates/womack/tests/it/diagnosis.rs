//! `--diagnose-publishes` finds messages that reach nobody because of their channel's name.

use womack_test_support::metrics::Metrics;
use womack_test_support::{Client, Launch, Redis, Server, eventually};

const METRIC: &str = "womack_messages_misaddressed_total";

/// Publishes on a Redis channel until that has been found to be nearly another. The server may
/// still be on its way to Redis, so it may take more than one message.
async fn find_out(redis: &Redis, server: &Server, channel: &str, difference: &str) {
    let label = format!("difference=\"{difference}\"");
    eventually(&format!("{channel} to be found out"), async || {
        redis.publish_bytes(channel.as_bytes(), b"{}").await;
        Metrics::of(server.address()).await.sum(METRIC, &label) > 0.5
    })
    .await;
}

#[tokio::test]
async fn misaddressed_messages_are_counted_and_logged() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .arg("--diagnose-publishes")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("hello").await;
    for (channel, difference) in [
        ("hello", "key"),
        ("womack:ns:default:Hello", "case"),
        ("womack:ns:default:hallo", "spelling"),
    ] {
        find_out(&redis, &server, channel, difference).await;
    }
    let line = server
        .logged("a channel of nearly this name has clients")
        .await;
    assert!(line.contains("womack:ns:default:hello"), "{line}");
    redis.publish("hello", "1").await;
    assert_eq!(client.message("hello").await, "1");
}

#[tokio::test]
async fn messages_that_reach_another_node_are_not_misaddressed() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .arg("--diagnose-publishes")
        .start()
        .await;
    let other = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("hello").await;
    let mut elsewhere = Client::connect(other.address()).await;
    elsewhere.subscribe("Hello").await;
    find_out(&redis, &server, "hello", "key").await;
    redis.publish("Hello", "1").await;
    assert_eq!(elsewhere.message("Hello").await, "1");
    // It comes after the one above, which has thus been looked at.
    find_out(&redis, &server, "womack:ns:default:hallo", "spelling").await;
    let metrics = Metrics::of(server.address()).await;
    assert!(metrics.sum(METRIC, "difference=\"case\"") < 0.5);
}
