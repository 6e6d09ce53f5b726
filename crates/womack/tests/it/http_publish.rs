//! Publishing by HTTP, at the listener for operators.

use serde_json::json;
use womack_test_support::http::{self, Answer, Method};
use womack_test_support::metrics::{self, Metrics};
use womack_test_support::{Client, Launch, Redis, Server, free_address};

const KEY: &str = "Bearer s3cret";

/// A server that takes what is published at the second address.
async fn start(redis: &Redis) -> (Server, std::net::SocketAddr) {
    let admin = free_address();
    let launch = Launch::new(redis)
        .flag("--admin-listen", &admin.to_string())
        .flag("--max-message-bytes", "1000")
        .env("WOMACK_PUBLISH_KEY", "s3cret");
    // Readiness is asked for at the admin's address.
    let server = launch.start_unready().await;
    womack_test_support::eventually("readiness", async || {
        http::get(admin, "/readyz").await.status == 200
    })
    .await;
    (server, admin)
}

async fn publish(admin: std::net::SocketAddr, key: &str, body: &str) -> Answer {
    let headers = [("authorization", key), ("content-type", "application/json")];
    http::request(admin, Method::POST, "/publish", &headers, body).await
}

#[tokio::test]
async fn a_request_with_the_key_publishes() {
    let redis = Redis::start().await;
    let (server, admin) = start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    client.subscribe("b:c").await;
    let several = r#"{"channels": ["a", "b:c"], "data": 9007199254740993, "ttl": 5}"#;
    let answer = publish(admin, KEY, several).await;
    assert_eq!(
        (answer.status, &*answer.text()),
        (200, r#"{"ok":true,"channels":2}"#)
    );
    assert_eq!(answer.header("content-type"), "application/json");
    for channel in ["a", "b:c"] {
        let envelope = client.message(channel).await;
        assert_eq!(envelope, r#"{"data":9007199254740993,"ttl":5}"#);
    }
    let excepted = json!({ "channels": "a", "data": 1, "except": client.id() }).to_string();
    let answer = publish(admin, KEY, &excepted).await;
    assert_eq!(answer.text(), r#"{"ok":true,"channels":1}"#);
    publish(admin, KEY, r#"{"channels":"a","data":2}"#).await;
    assert_eq!(client.message("a").await, r#"{"data":2}"#);
}

#[tokio::test]
async fn refused_requests_to_publish_say_why() {
    let mut redis = Redis::start().await;
    let (server, admin) = start(&redis).await;
    let good = r#"{"channels":"a","data":1}"#;
    let long = format!(r#"{{"channels":"a","data":"{}"}}"#, "x".repeat(1000));
    let many = json!({ "channels": vec!["a"; 101], "data": 1 }).to_string();
    for (key, body, status, error) in [
        ("", good, 401, "unauthorized"),
        ("Bearer s3cre", good, 401, "unauthorized"),
        ("Basic s3cret", &long, 401, "unauthorized"),
        (KEY, "", 400, "bad_request"),
        (KEY, "[]", 400, "bad_request"),
        (KEY, r#"{"data":1}"#, 400, "bad_request"),
        (KEY, r#"{"channels":[""],"data":1}"#, 400, "bad_channel"),
        (
            KEY,
            r#"{"channels":"connect","data":1}"#,
            400,
            "bad_channel",
        ),
        (KEY, &many, 400, "too_many_channels"),
        (KEY, &long, 413, "too_large"),
    ] {
        let answer = publish(admin, key, body).await;
        assert_eq!(answer.status, status, "{body:.40}: {}", answer.text());
        let answer: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(answer["ok"], false);
        assert_eq!(answer["error"], error);
        assert!(answer["message"].is_string());
    }
    let headers = [("authorization", KEY)];
    let answer = http::request(admin, Method::GET, "/publish", &headers, "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    redis.stop().await;
    assert_eq!(publish(admin, KEY, good).await.status, 503);
    redis.resume().await;
    womack_test_support::eventually("Redis to be used again", async || {
        publish(admin, KEY, good).await.status == 200
    })
    .await;
    let metrics = Metrics::of(admin).await;
    let requests = |result: &str| {
        let label = format!("result=\"{result}\"");
        metrics.sum("womack_publish_requests_total", &label)
    };
    assert_eq!(requests("unauthorized"), 3.0);
    assert_eq!(requests("bad_channel"), 2.0);
    assert!(requests("unavailable") >= 1.0);
    for limit in ["max_message_bytes", "max_channels_per_publish"] {
        metrics::limit(admin, limit, 1.0).await;
    }
    // On the public port there is no such thing, key or not.
    let public = publish(server.address(), KEY, good).await;
    assert_eq!(public.status, 405);
}

#[tokio::test]
async fn without_a_key_nobody_publishes() {
    let redis = Redis::start().await;
    let admin = free_address();
    let launch = Launch::new(&redis).flag("--admin-listen", &admin.to_string());
    let _server = launch.start_unready().await;
    let answer = publish(admin, "Bearer ", r#"{"channels":"a","data":1}"#).await;
    assert_eq!(answer.status, 405);
    let refused = Launch::new(&redis)
        .flag("--publish-key", "k")
        .refused()
        .await;
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr[0].contains("admin-listen"),
        "{:?}",
        refused.stderr
    );
}
