//! How connections end, from either side, and how clients come back.

use serde_json::json;
use womack_test_support::clients::Drivers;
use womack_test_support::{Client, Launch, Redis, Server, eventually, metrics};

const CLOSED: &str = "womack_connections_closed_total";

#[tokio::test]
async fn every_library_comes_back_after_a_restart() {
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    server.stop().await;
    for client in &mut clients {
        client.disconnected().await;
    }
    let server = server.launch().at(server.address()).start().await;
    for client in &mut clients {
        client.connected().await;
        client.subscribe("a").await;
    }
    redis.publish("a", r#"{"data":"again"}"#).await;
    for client in &mut clients {
        client.message("a").await.is("a", r#"{"data":"again"}"#);
    }
    drop(server);
}

#[tokio::test]
async fn every_library_says_goodbye() {
    let redis = Redis::start().await;
    // python-socketio's thread that sends may see that it is to end before the close packet that
    // was to go out first; the server then hears of it by the silence.
    let launch = Launch::new(&redis)
        .flag("--ping-interval", "3")
        .flag("--ping-timeout", "3");
    let server = launch.start().await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    let count = clients.len() as f64;
    for client in &mut clients {
        client.subscribe("a").await;
        client.disconnect().await;
    }
    metrics::reaches(server.address(), CLOSED, "", count).await;
    let metrics = metrics::Metrics::of(server.address()).await;
    assert!(
        metrics.sum("womack_connections", "") < 0.5,
        "{}",
        metrics.text()
    );
    assert!(
        metrics.sum("womack_subscriptions", "") < 0.5,
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn every_library_stays_while_it_is_pinged() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis)
        .flag("--ping-interval", "0.2")
        .flag("--ping-timeout", "20");
    let server = launch.start().await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    let mut watch = Client::open(server.address()).await;
    watch.ignore_pings();
    watch.join("/").await;
    for _ in 0..5 {
        watch.find(|packet| packet == "2").await;
        watch.send("3").await;
    }
    redis.publish("a", "1").await;
    for client in &mut clients {
        client.message("a").await.is("a", "1");
    }
    let metrics = metrics::Metrics::of(server.address()).await;
    assert!(metrics.sum(CLOSED, "") < 0.5, "{}", metrics.text());
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_closed() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis)
        .flag("--ping-interval", "0.2")
        .flag("--ping-timeout", "0.2");
    let server = launch.start().await;
    let mut client = Client::open(server.address()).await;
    client.ignore_pings();
    client.join("/").await;
    let (packets, _) = client.end().await;
    assert_eq!(packets, ["2"]);
    metrics::reaches(server.address(), CLOSED, r#"reason="ping_timeout""#, 1.0).await;
}

#[tokio::test]
async fn leaving_the_only_namespace_keeps_the_transport() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    client.send("41").await;
    client.join("/").await;
    client.subscribe("b").await;
    redis.publish("a", "1").await;
    redis.publish("b", "2").await;
    assert_eq!(client.message("b").await, "2");
}

#[tokio::test]
async fn an_engine_io_close_packet_ends_the_connection() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.send("1").await;
    assert!(client.end().await.0.is_empty());
    metrics::reaches(server.address(), CLOSED, "", 1.0).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_noticed() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--unsubscribe-grace-seconds", "0");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    drop(client);
    eventually("UNSUBSCRIBE", async || redis.subscribers("a").await == 0).await;
    metrics::reaches(server.address(), CLOSED, "", 1.0).await;
}

#[tokio::test]
async fn others_miss_nothing_while_clients_come_and_go() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--unsubscribe-grace-seconds", "0");
    let server = launch.start().await;
    let mut steady = Client::connect(server.address()).await;
    steady.subscribe("a").await;
    for n in 0..60 {
        let mut passing = Client::connect(server.address()).await;
        passing
            .emit("subscribe", &json!({ "channels": ["a", "b"] }))
            .await;
        if n % 3 == 0 {
            passing.close().await;
        } else {
            drop(passing);
        }
        redis.publish("a", &n.to_string()).await;
    }
    for n in 0..60 {
        assert_eq!(steady.message("a").await, n.to_string());
    }
}
