//! Every limit: what happens at it, how it is counted, and that nobody else notices. What other
//! clients than today's are told is tested with the rest of what they are told.

use serde_json::json;
use womack_test_support::raw::{self, Raw};
use womack_test_support::{
    Client, EventStream, Launch, Lines, Polling, Redis, Server, http, metrics,
};

const CLOSED: &str = "womack_connections_closed_total";
const TOO_LARGE: &str = r#"reason="payload_too_large""#;

/// One client was closed for a message that was too large.
async fn was_too_large(server: &Server) {
    metrics::reaches(server.address(), CLOSED, TOO_LARGE, 1.0).await;
    metrics::limit(server.address(), "max_payload", 1.0).await;
}

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
    metrics::limit(server.address(), "max_channels_per_client", 2.0).await;
}

#[tokio::test]
async fn a_channel_name_over_the_limit_is_refused() {
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
    metrics::limit(server.address(), "max_channel_bytes", 2.0).await;
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
    let frame = frame.expect("a close frame");
    assert_eq!(u16::from(frame.code), 1009);
    was_too_large(&server).await;
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
    assert_eq!(socket.close_code().await, Some(1009));
    was_too_large(&server).await;
}

#[tokio::test]
async fn the_attachments_of_a_packet_count_together() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-payload", "1000")
        .start()
        .await;
    let mut socket = Raw::socket(server.address()).await;
    socket.send(&raw::text(r#"452-["none"]"#)).await;
    let attachment = raw::frame(0x82, &[7; 600]);
    socket.send(&attachment.repeat(2)).await;
    assert_eq!(socket.close_code().await, Some(1009));
    was_too_large(&server).await;
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
    assert_eq!(client.post(&"4".repeat(1001)).await.status, 413);
    let mut unknown_length = Raw::connect(server.address()).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        client.path()
    );
    unknown_length.send(head.as_bytes()).await;
    let chunk = format!("1f4\r\n{}\r\n", "4".repeat(500));
    unknown_length.send(chunk.repeat(3).as_bytes()).await;
    let head = unknown_length.head().await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    metrics::limit(server.address(), "max_payload", 2.0).await;
    client.subscribe("b").await;
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
    let reason = r#"reason="too_many_packets""#;
    metrics::reaches(server.address(), CLOSED, reason, 1.0).await;
    metrics::limit(server.address(), "max_packets_per_payload", 1.0).await;
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
    metrics::limit(server.address(), "max_message_bytes", 1.0).await;
}

#[tokio::test]
async fn a_client_that_sends_packets_too_fast_is_closed() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-packets-per-second", "20")
        .start()
        .await;
    let mut calm = Client::connect(server.address()).await;
    calm.subscribe("a").await;
    let mut hasty = Raw::socket(server.address()).await;
    hasty.send(&raw::text(r#"42["none"]"#).repeat(1000)).await;
    assert_eq!(hasty.close_code().await, Some(1008));
    let polling = Polling::connect(server.address()).await;
    let packets = vec![r#"42["none"]"#; 900].join("\u{1e}");
    assert_eq!(polling.post(&packets).await.status, 400);
    assert_eq!(polling.poll().await.status, 400);
    let reason = r#"reason="packet_rate""#;
    metrics::reaches(server.address(), CLOSED, reason, 2.0).await;
    metrics::limit(server.address(), "max_packets_per_second", 2.0).await;
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
    let reason = r#"reason="connect_timeout""#;
    metrics::reaches(server.address(), CLOSED, reason, 2.0).await;
    metrics::limit(server.address(), "handshake_seconds", 2.0).await;
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
    let mut polling = Polling::connect(server.address()).await;
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
    let mut kept = Raw::connect(server.address()).await;
    kept.send(b"GET /womack.js HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(kept.head().await.starts_with("HTTP/1.1 200"));
    kept.send(b"GET /womack.js HTTP/1.1\r\nHo").await;
    kept.end().await;
    let count = beginnings.len() as f64 + 1.0;
    metrics::limit(server.address(), "handshake_seconds", count).await;
    let mut probe = Raw::upgraded(server.address(), &polling.upgrade_path()).await;
    probe.end().await;
    metrics::limit(server.address(), "handshake_seconds", count + 1.0).await;
    polling.subscribe("a").await;
}

#[tokio::test]
async fn a_connection_between_two_requests_outlives_the_time_for_a_request() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--handshake-seconds", "0.3")
        .start()
        .await;
    let request = b"HEAD /womack.js HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut kept = Raw::connect(server.address()).await;
    kept.send(request).await;
    let head = kept.head().await.to_lowercase();
    assert!(head.contains("\r\nkeep-alive: timeout=75\r\n"), "{head}");
    // One that comes later and never asks is closed sooner.
    let mut silent = Raw::connect(server.address()).await;
    silent.end().await;
    metrics::limit(server.address(), "handshake_seconds", 1.0).await;
    kept.send(request).await;
    assert!(kept.head().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_on_which_nothing_more_is_asked_is_closed() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--keep-alive-seconds", "0.3")
        .start()
        .await;
    let mut stream = EventStream::open(server.address(), "channel=a").await;
    let mut raw = Raw::connect(server.address()).await;
    raw.send(b"GET /womack.js HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200"));
    raw.end().await;
    metrics::limit(server.address(), "keep_alive_seconds", 1.0).await;
    let metrics = metrics::Metrics::of(server.address()).await;
    let reached = metrics.sum("womack_limit_reached_total", "");
    assert!(reached < 1.5, "{}", metrics.text());
    // An answer that goes on is no silence.
    redis.publish("a", "1").await;
    assert_eq!(stream.message("a").await, "1");
}

#[tokio::test]
async fn a_request_head_over_the_limit_is_answered_431() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-head-bytes", "8192")
        .start()
        .await;
    let fits = "x".repeat(7000);
    let answer = http::get_with(server.address(), "/womack.js", &[("x-long", &fits)]).await;
    assert_eq!(answer.status, 200);
    let long = format!("X-Long: {}\r\n", "x".repeat(9000));
    for headers in [long, "X: y\r\n".repeat(101)] {
        let mut raw = Raw::connect(server.address()).await;
        let head = format!("GET /womack.js HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        raw.send(head.as_bytes()).await;
        let answer = raw.head().await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    metrics::limit(server.address(), "max_head_bytes", 2.0).await;
    let refusal = Launch::new(&redis)
        .flag("--max-head-bytes", "8191")
        .refused()
        .await;
    assert_eq!(refusal.code, Some(2));
}

#[tokio::test]
async fn subscriptions_over_max_waiting_acks_are_unavailable() {
    let mut redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--shards", "1")
        .flag("--max-waiting-acks", "1")
        .flag("--subscribe-timeout-seconds", "600")
        .start()
        .await;
    let mut first = Client::connect(server.address()).await;
    let mut second = Client::connect(server.address()).await;
    let mut lines = Lines::connect(server.address()).await;
    redis.stop().await;
    server.unready().await;
    let waiting = first.ask("subscribe", &json!({ "channel": "a" })).await;
    // What comes after it is answered at once.
    first.unsubscribe("b").await;
    let answer = second.call("subscribe", &json!({ "channel": "b" })).await;
    assert_eq!(answer["error"], "unavailable", "{answer}");
    let answer = lines.ask(&json!({ "subscribe": ["b"], "id": 1 })).await;
    assert_eq!(answer["error"], "unavailable", "{answer}");
    let answer = http::get(server.address(), "/events?channel=b").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    metrics::limit(server.address(), "max_waiting_acks", 3.0).await;
    redis.resume().await;
    let live = json!({ "ok": true, "channels": ["a"] });
    assert_eq!(first.answer(waiting).await, live);
    second.subscribe("b").await;
    lines.subscribe("b").await;
}

#[tokio::test]
async fn one_client_cannot_use_up_max_waiting_acks() {
    let mut redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--shards", "1")
        .flag("--max-waiting-acks", "128")
        .flag("--max-channels-per-client", "5")
        .flag("--subscribe-timeout-seconds", "600")
        .start()
        .await;
    let mut greedy = Lines::connect(server.address()).await;
    let mut other = Client::connect(server.address()).await;
    redis.stop().await;
    server.unready().await;
    // A 64th of all may wait for one client, and may name twice as many channels as it may be in.
    let names = ["c", "a", "b", "d"];
    for id in 1..=2 {
        greedy
            .send(&json!({ "subscribe": names, "id": id }).to_string())
            .await;
    }
    let answer = greedy.ask(&json!({ "subscribe": ["e"], "id": 3 })).await;
    let expected = (&json!("unavailable"), &json!(3));
    assert_eq!((&answer["error"], &answer["id"]), expected, "{answer}");
    let waiting = other.ask("subscribe", &json!({ "channel": "a" })).await;
    metrics::limit(server.address(), "max_waiting_acks", 1.0).await;
    redis.resume().await;
    // The names are told as the client wrote them.
    for id in 1..=2 {
        let live = json!({ "ok": true, "subscribed": names, "id": id });
        assert_eq!(greedy.json().await, live);
    }
    let live = json!({ "ok": true, "channels": ["a"] });
    assert_eq!(other.answer(waiting).await, live);
}

#[tokio::test]
async fn channels_over_max_channels_are_refused_and_those_that_exist_are_not() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--shards", "1")
        .flag("--max-channels", "2")
        .flag("--unsubscribe-grace-seconds", "0")
        .start()
        .await;
    let mut first = Client::connect(server.address()).await;
    let mut second = Client::connect(server.address()).await;
    let mut lines = Lines::connect(server.address()).await;
    first.subscribe("a").await;
    let both = json!({ "channels": ["b", "c"] });
    let answer = second.call("subscribe", &both).await;
    assert_eq!(answer["error"], "too_many_channels", "{answer}");
    second.subscribe("a").await;
    second.subscribe("b").await;
    let answer = lines.ask(&json!({ "subscribe": ["c"], "id": 1 })).await;
    assert_eq!(answer["error"], "too_many_channels", "{answer}");
    metrics::limit(server.address(), "max_channels", 2.0).await;
    second.unsubscribe("b").await;
    lines.subscribe("c").await;
}

#[tokio::test]
async fn connections_wait_while_no_files_are_left() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    server.allow_files(1).await;
    let mut waiting = Raw::connect(server.address()).await;
    waiting
        .send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    server.logged("could not be accepted").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
    server.allow_files(1000).await;
    assert!(waiting.head().await.starts_with("HTTP/1.1 200"));
    metrics::limit(server.address(), "open_files", 1.0).await;
}
