//! A client that stops reading is cut off; nobody else is slowed by it.

use serde_json::json;
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Polling, Redis, Server, metrics};

const CLOSED: &str = "womack_connections_closed_total";
const SLOW: &str = r#"reason="slow_consumer""#;

/// Big enough that the kernel's own buffers are soon full.
const MESSAGE_BYTES: usize = 60_000;

async fn start(redis: &Redis) -> Server {
    Launch::new(redis)
        .flag("--max-message-bytes", "100000")
        .flag("--max-client-queue-bytes", "300000")
        .start()
        .await
}

fn envelope(n: usize) -> String {
    json!({ "data": n, "filling": "x".repeat(MESSAGE_BYTES) }).to_string()
}

/// Publishes until the server has cut somebody off, while `witness` reads everything.
async fn publish_until_cut_off(redis: &Redis, server: &Server, witness: &mut Client) {
    for n in 0..2000 {
        redis.publish("a", &envelope(n)).await;
        assert_eq!(witness.message("a").await, envelope(n));
        if n % 20 == 0 {
            let metrics = metrics::Metrics::of(server.address()).await;
            if metrics.sum(CLOSED, SLOW) > 0.5 {
                return;
            }
        }
    }
    panic!("a client that reads nothing is never cut off");
}

#[tokio::test]
async fn a_websocket_that_is_not_read_is_closed() {
    let redis = Redis::start().await;
    let server = start(&redis).await;
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("a").await;
    let mut slow = Raw::socket(server.address()).await;
    slow.send(&raw::text(r#"420["subscribe",{"channel":"a"}]"#))
        .await;
    let ack = slow.frame().await.expect("an acknowledgement");
    assert!(ack.payload.starts_with(b"430["), "{ack:?}");
    publish_until_cut_off(&redis, &server, &mut witness).await;
    // What it does read is without a gap: whole frames, in order, and then the end.
    for (n, frame) in slow.frames().await.iter().enumerate() {
        if frame.first == 0x81 {
            let packet = format!(r#"42["a",{}]"#, envelope(n));
            assert!(
                frame.payload == packet.as_bytes(),
                "message {n} is not in its place"
            );
        }
    }
    let metrics = metrics::Metrics::of(server.address()).await;
    assert!(
        metrics.sum("womack_connections", "") < 1.5,
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn a_session_that_does_not_poll_is_closed() {
    let redis = Redis::start().await;
    let server = start(&redis).await;
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("a").await;
    let mut slow = Polling::connect(server.address()).await;
    slow.subscribe("a").await;
    publish_until_cut_off(&redis, &server, &mut witness).await;
    assert_eq!(slow.poll().await.status, 400);
}

#[tokio::test]
async fn a_burst_within_the_limit_closes_nobody() {
    let redis = Redis::start().await;
    let server = start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let small = |n| format!("{{\"data\":{n},\"filling\":\"{}\"}}", "x".repeat(100));
    redis.publish_all("a", (0..1000).map(small)).await;
    for n in 0..1000 {
        assert_eq!(client.message("a").await, small(n));
    }
    let metrics = metrics::Metrics::of(server.address()).await;
    assert!(metrics.sum(CLOSED, "") < 0.5, "{}", metrics.text());
}
