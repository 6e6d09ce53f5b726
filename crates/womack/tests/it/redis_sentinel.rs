//! Sentinels say who the master is, and who comes after it.

use womack_test_support::tls::Certificates;
use womack_test_support::{Broker, Client, Launch, Sentinel, eventually, metrics};

/// A server launched with `launch` goes with the master.
async fn follows(launch: Launch, mut sentinel: Sentinel) {
    let server = launch.clone().start().await;
    let mut client = Client::connect(server.address()).await;
    client.ignore_pings();
    client.subscribe("a").await;
    sentinel.master.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");

    sentinel.master.stop().await;
    server.unready().await;
    server.ready().await;
    // Whoever becomes a master is asked to come again.
    sentinel.replica.reconnect().await;
    let replica = &sentinel.replica;
    eventually("the replica to be asked", async || {
        replica.subscribers("a").await == 1
    })
    .await;
    replica.publish("a", "2").await;
    assert_eq!(client.message("a").await, "2");
    metrics::reaches(server.address(), "womack_redis_gaps_total", "", 1.0).await;

    let publish = Launch::bare().flag("publish", "a").arg("3").like(&launch);
    assert_eq!(publish.output().await.0, Some(0));
    assert_eq!(client.message("a").await, "3");
}

#[tokio::test]
async fn the_master_that_sentinels_name_is_followed() {
    let sentinel = Sentinel::start().await;
    follows(Launch::new(&sentinel), sentinel).await;
}

#[tokio::test]
async fn the_master_is_followed_by_tls_too() {
    let made = Certificates::new();
    let sentinel = Sentinel::start_secure(&made).await;
    follows(made.of_client(Launch::new(&sentinel)), sentinel).await;
}

#[tokio::test]
async fn a_service_that_no_sentinel_knows_is_named() {
    let sentinel = Sentinel::start().await;
    let url = sentinel.url().replace("/main", "/other");
    let server = Launch::new(&sentinel)
        .flag("--redis-url", &url)
        .start_unready()
        .await;
    let line = server.logged("no sentinel knows").await;
    assert!(line.contains("other"), "{line}");
}
