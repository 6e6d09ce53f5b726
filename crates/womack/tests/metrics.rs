//! `/metrics` counts what happens.

use womack_test_support::metrics::{self, Metrics};
use womack_test_support::{Client, Polling, Redis, Server, http};

/// Everything that dashboards and alerts rely on.
const NAMES: &[&str] = &[
    "womack_connections",
    "womack_connections_opened_total",
    "womack_connections_closed_total",
    "womack_messages_rejected_total",
    "womack_messages_received_total",
    "womack_deliveries_total",
    "womack_events_total",
    "womack_subscriptions",
    "womack_upgrades_total",
    "womack_sent_bytes_total",
    "womack_client_queue_bytes",
    "womack_delivery_seconds_count",
    "womack_redis_connected",
    "womack_redis_gaps_total",
    "womack_redis_channels",
];

#[tokio::test]
async fn every_metric_is_there_from_the_start() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let answer = http::get(server.address(), "/metrics").await;
    let kind = answer.header("content-type");
    assert!(
        kind.contains("openmetrics-text") || kind.contains("text/plain"),
        "{kind}"
    );
    let metrics = Metrics::of(server.address()).await;
    for name in NAMES {
        assert!(metrics.has(name), "{name} is not in\n{}", metrics.text());
        let family = name.trim_end_matches("_total").trim_end_matches("_count");
        assert!(
            metrics.text().contains(&format!("# HELP {family} ")),
            "{family} is not described"
        );
        assert!(
            metrics.text().contains(&format!("# TYPE {family} ")),
            "{family} has no type"
        );
    }
    let slow = metrics
        .text()
        .contains(r#"womack_connections_closed_total{reason="slow_consumer"} 0"#);
    assert!(
        slow,
        "a reason that has not been seen is at 0:\n{}",
        metrics.text()
    );
}

#[tokio::test]
async fn metrics_count() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let at = server.address();
    let mut socket = Client::connect(at).await;
    let mut polling = Polling::connect(at).await;
    socket.subscribe("a").await;
    socket.subscribe("b").await;
    polling.subscribe("a").await;
    for (name, labels, value) in [
        ("womack_connections", r#"transport="websocket""#, 1.0),
        ("womack_connections", r#"transport="polling""#, 1.0),
        ("womack_connections_opened_total", "", 2.0),
        ("womack_subscriptions", "", 3.0),
        ("womack_redis_channels", "", 2.0),
        ("womack_redis_connected", "", 1.0),
        ("womack_events_total", "", 3.0),
    ] {
        metrics::reaches(at, name, labels, value).await;
        let found = Metrics::of(at).await.sum(name, labels);
        assert!(
            found < value + 0.5,
            "{name}{{{labels}}} is {found}, not {value}"
        );
    }
    redis.publish("a", "1").await;
    redis.publish("a", "{not json").await;
    redis.publish("b", "2").await;
    assert_eq!(socket.message("a").await, "1");
    assert_eq!(socket.message("b").await, "2");
    assert_eq!(polling.message("a").await, "1");
    metrics::reaches(at, "womack_messages_received_total", "", 2.0).await;
    metrics::reaches(
        at,
        "womack_messages_rejected_total",
        r#"reason="json""#,
        1.0,
    )
    .await;
    metrics::reaches(at, "womack_deliveries_total", "", 3.0).await;
    metrics::reaches(at, "womack_sent_bytes_total", "", 20.0).await;
    metrics::reaches(at, "womack_delivery_seconds_count", "", 1.0).await;
    socket.close().await;
    metrics::reaches(at, "womack_connections_closed_total", "", 1.0).await;
    let metrics = Metrics::of(at).await;
    assert!(metrics.sum("womack_connections", r#"transport="websocket""#) < 0.5);
}
