//! Every limit: what happens at it, and that nobody else notices.

use serde_json::json;
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Polling, Redis, metrics};

const CLOSED: &str = "womack_connections_closed_total";

#[tokio::test]
async fn one_channel_too_many_is_refused_and_the_others_stay() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-channels-per-client", "3")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    let three = client
        .call("subscribe", &json!({ "channels": ["a", "b", "c"] }))
        .await;
    assert_eq!(three["ok"], true, "{three}");
    let fourth = client.call("subscribe", &json!({ "channel": "d" })).await;
    assert_eq!(fourth["error"], "too_many_channels", "{fourth}");
    // What is subscribed already does not count twice.
    client.subscribe("a").await;
    client.unsubscribe("a").await;
    client.subscribe("d").await;
    redis.publish("d", "1").await;
    assert_eq!(client.message("d").await, "1");
    let many = client
        .call("subscribe", &json!({ "channels": ["e", "f", "g", "h"] }))
        .await;
    assert_eq!(many["error"], "too_many_channels", "{many}");
    assert_eq!(redis.publish("e", "1").await, 0);
}

#[tokio::test]
async fn a_channel_name_may_have_just_so_many_bytes() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-channel-bytes", "10")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe(&"n".repeat(10)).await;
    client.subscribe(&"é".repeat(5)).await;
    for name in ["n".repeat(11), "é".repeat(6)] {
        let answer = client.call("subscribe", &json!({ "channel": name })).await;
        assert_eq!(answer["error"], "bad_channel", "{answer}");
    }
}

#[tokio::test]
async fn a_channel_name_may_have_1024_bytes_by_default() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis).start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe(&"n".repeat(1024)).await;
    let answer = client
        .call("subscribe", &json!({ "channel": "n".repeat(1025) }))
        .await;
    assert_eq!(answer["error"], "bad_channel", "{answer}");
}

#[tokio::test]
async fn a_websocket_message_over_max_payload_ends_the_connection() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-payload", "1000")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    let filling = |bytes: usize| format!(r#"42["none","{}"]"#, "x".repeat(bytes - 13));
    client.send(&filling(1000)).await;
    client.subscribe("a").await;
    client.try_send(&filling(1001)).await;
    let (packets, frame) = client.end().await;
    assert_eq!(packets, Vec::<String>::new());
    if let Some(frame) = frame {
        assert_eq!(u16::from(frame.code), 1009);
    }
    metrics::reaches(server.address(), CLOSED, "", 1.0).await;
}

#[tokio::test]
async fn a_fragmented_message_counts_as_a_whole() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-payload", "1000")
        .start()
        .await;
    let mut socket = Raw::socket(server.address()).await;
    socket.send(&raw::frame(0x01, b"42[\"none\",\"")).await;
    for _ in 0..20 {
        socket.send(&raw::frame(0x00, &[b'x'; 100])).await;
    }
    socket.frames().await;
    metrics::reaches(server.address(), CLOSED, "", 1.0).await;
}

#[tokio::test]
async fn a_polling_body_over_max_payload_is_refused() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-payload", "1000")
        .start()
        .await;
    let mut client = Polling::connect(server.address()).await;
    client
        .send(&format!(r#"42["none","{}"]"#, "x".repeat(987)))
        .await;
    client.subscribe("a").await;
    let answer = client.post(&"4".repeat(1001)).await;
    assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
}

#[tokio::test]
async fn the_open_packet_tells_the_limit() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-payload", "1234")
        .start()
        .await;
    let mut client = Client::raw(server.address(), "/socket.io/?EIO=4&transport=websocket").await;
    assert!(client.packet().await.contains(r#""maxPayload":1234"#));
}

#[tokio::test]
async fn too_many_packets_in_a_body_end_the_session() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-packets-per-payload", "5")
        .start()
        .await;
    let client = Polling::connect(server.address()).await;
    let packets = |count| vec![r#"42["none"]"#; count].join("\u{1e}");
    client.send(&packets(5)).await;
    assert_eq!(client.post(&packets(6)).await.status, 400);
    assert_eq!(client.poll().await.status, 400);
}

#[tokio::test]
async fn a_published_message_over_the_limit_is_dropped_and_counted() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-message-bytes", "1000")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let fits = format!("\"{}\"", "x".repeat(998));
    redis.publish("a", &fits).await;
    redis
        .publish("a", &format!("\"{}\"", "x".repeat(999)))
        .await;
    redis.publish("a", "\"after\"").await;
    assert_eq!(client.message("a").await, fits);
    assert_eq!(client.message("a").await, "\"after\"");
    let rejected = "womack_messages_rejected_total";
    metrics::reaches(server.address(), rejected, r#"reason="too_large""#, 1.0).await;
}

#[tokio::test]
async fn packets_come_as_fast_as_they_may_and_no_faster() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-packets-per-second", "20")
        .start()
        .await;
    let mut calm = Client::connect(server.address()).await;
    calm.subscribe("a").await;
    let mut hasty = Raw::socket(server.address()).await;
    hasty.send(&raw::text(r#"42["none"]"#).repeat(1000)).await;
    let last = hasty.frames().await.pop().expect("a close frame");
    assert_eq!(last.close_code(), Some(1008));
    let polling = Polling::connect(server.address()).await;
    let packets = vec![r#"42["none"]"#; 900].join("\u{1e}");
    assert_eq!(polling.post(&packets).await.status, 400);
    assert_eq!(polling.poll().await.status, 400);
    let reason = r#"reason="packet_rate""#;
    metrics::reaches(server.address(), CLOSED, reason, 2.0).await;
    calm.unsubscribe("a").await;
}

#[tokio::test]
async fn a_client_that_never_joins_is_closed() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--handshake-seconds", "0.3")
        .start()
        .await;
    let mut patient = Client::connect(server.address()).await;
    let mut silent = Client::open(server.address()).await;
    assert_eq!(silent.end().await.0, Vec::<String>::new());
    let polling = Polling::open(server.address()).await;
    metrics::reaches(server.address(), CLOSED, "", 2.0).await;
    assert_eq!(polling.poll().await.status, 400);
    patient.subscribe("a").await;
}

#[tokio::test]
async fn requests_that_are_never_complete_are_ended() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--handshake-seconds", "0.3")
        .start()
        .await;
    let polling = Polling::connect(server.address()).await;
    let post = format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n4",
        polling.path()
    );
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: webso";
    let beginnings = ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n", upgrade, &post];
    for beginning in beginnings {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(beginning.as_bytes()).await;
        let answer = String::from_utf8_lossy(&raw.end().await).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{beginning:?}: {answer}");
    }
}
