//! Redis may go away: no client is dropped for it, and every subscription comes back.

use serde_json::json;
use womack_test_support::clients::Drivers;
use womack_test_support::{
    Broker, Client, Launch, Polling, Redis, Server, eventually, http, metrics,
};

#[tokio::test]
async fn every_library_stays_and_gets_what_follows() {
    let mut redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    for round in 0..2 {
        redis.stop().await;
        server.unready().await;
        redis.resume().await;
        server.ready().await;
        let envelope = format!(r#"{{"data":{round}}}"#);
        assert_eq!(
            redis.publish("a", &envelope).await,
            1,
            "ready means subscribed"
        );
        for client in &mut clients {
            client.message("a").await.is("a", &envelope);
        }
    }
    let metrics = metrics::Metrics::of(server.address()).await;
    assert!(
        metrics.sum("womack_connections_closed_total", "") < 0.5,
        "{}",
        metrics.text()
    );
    assert!(
        metrics.sum("womack_redis_gaps_total", "") > 1.5,
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn every_subscription_of_many_is_restored() {
    let mut redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    let channels: Vec<String> = (0..500).map(|n| format!("channel-{n}")).collect();
    let answer = client
        .call("subscribe", &json!({ "channels": channels }))
        .await;
    assert_eq!(answer["ok"], true, "{answer}");
    redis.stop().await;
    server.unready().await;
    redis.resume().await;
    server.ready().await;
    for channel in &channels {
        assert_eq!(redis.publish(channel, "1").await, 1, "{channel}");
        assert_eq!(client.message(channel).await, "1");
    }
}

#[tokio::test]
async fn subscriptions_changed_while_redis_is_away_are_restored_as_they_are() {
    let mut redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--unsubscribe-grace-seconds", "0");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("old").await;
    redis.stop().await;
    server.unready().await;
    client.unsubscribe("old").await;
    let mut newcomer = Client::connect(server.address()).await;
    let ack = newcomer
        .ask("subscribe", &json!({ "channel": "new" }))
        .await;
    redis.resume().await;
    server.ready().await;
    assert_eq!(
        newcomer.answer(ack).await,
        json!({ "ok": true, "channels": ["new"] })
    );
    redis.publish("new", "1").await;
    assert_eq!(newcomer.message("new").await, "1");
    eventually("UNSUBSCRIBE", async || redis.subscribers("old").await == 0).await;
}

#[tokio::test]
async fn a_subscription_that_redis_does_not_confirm_is_unavailable() {
    let mut redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--subscribe-timeout-seconds", "0.3");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    redis.stop().await;
    server.unready().await;
    let answer = client.call("subscribe", &json!({ "channel": "a" })).await;
    assert_eq!(
        (&answer["ok"], &answer["error"]),
        (&json!(false), &json!("unavailable"))
    );
    metrics::limit(server.address(), "subscribe_timeout_seconds", 1.0).await;
    redis.resume().await;
    server.ready().await;
    client.subscribe("a").await;
    assert_eq!(redis.publish("a", "1").await, 1);
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn a_redis_that_starts_after_the_server_is_used() {
    let mut redis = Redis::start().await;
    redis.stop().await;
    let server = Launch::new(&redis).start_unready().await;
    server.unready().await;
    assert_eq!(http::get(server.address(), "/healthz").await.status, 200);
    let mut client = Client::connect(server.address()).await;
    let ack = client.ask("subscribe", &json!({ "channel": "a" })).await;
    redis.resume().await;
    assert_eq!(
        client.answer(ack).await,
        json!({ "ok": true, "channels": ["a"] })
    );
    server.ready().await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn a_configured_redis_that_is_absent_is_never_replaced() {
    let mut redis = Redis::start().await;
    redis.stop().await;
    let server = Launch::new(&redis).start_unready().await;
    server.unready().await;
    let connection = tokio::net::TcpStream::connect(redis.address()).await;
    assert!(connection.is_err(), "something listens where Redis was");
    assert!(!server.log().iter().any(|line| line.contains("embedded")));
}

#[tokio::test]
async fn a_link_that_redis_cuts_is_made_again() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    let mut polling = Polling::connect(server.address()).await;
    client.subscribe("a").await;
    polling.subscribe("a").await;
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    metrics::reaches(server.address(), "womack_redis_gaps_total", "", 1.0).await;
    server.ready().await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
    assert_eq!(polling.message("a").await, "1");
}
