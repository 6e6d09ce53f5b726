//! JSON lines over a plain WebSocket: the same channels, limits and promises without Socket.IO.

use serde_json::{Value, json};
use womack_test_support::browser::Page;
use womack_test_support::raw::{self, Frame, Raw};
use womack_test_support::{
    Client, Driver, Launch, Lines, Redis, Server, conformance, eventually, http, metrics,
};

/// The headers of a WebSocket handshake.
const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn a_message_comes_as_a_line_with_the_published_text() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Lines::connect(server.address()).await;
    let name = "žluť \"a:b\" 😀";
    client.subscribe(name).await;
    for envelope in [
        r#"{"data": {"hello":"world"}}"#,
        "9007199254740993",
        r#"[1.0e9, "\u00e9", "é", "}"]"#,
        "{\n  \"data\": null\n}",
    ] {
        redis.publish(name, envelope).await;
        assert_eq!(client.message(name).await, envelope);
    }
}

#[tokio::test]
async fn an_answer_says_what_it_answers_and_means_live() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Lines::connect(server.address()).await;
    let mut other = Client::connect(server.address()).await;
    for n in 0..20 {
        let (a, b) = (format!("a-{n}"), format!("b-{n}"));
        let answer = client.ask(&json!({ "subscribe": [a, b], "id": n })).await;
        assert_eq!(answer, json!({ "ok": true, "subscribed": [a, b], "id": n }));
        redis.publish(&b, "1").await;
        assert_eq!(client.message(&b).await, "1");
        let answer = client
            .ask(&json!({ "unsubscribe": b, "id": {"n": n} }))
            .await;
        let expected = json!({ "ok": true, "unsubscribed": [b], "id": {"n": n} });
        assert_eq!(answer, expected);
        other.subscribe(&b).await;
        redis.publish(&b, "2").await;
        redis.publish(&a, "3").await;
        assert_eq!(client.message(&a).await, "3");
        assert_eq!(other.message(&b).await, "2");
    }
}

#[tokio::test]
async fn mistakes_are_answered_and_the_connection_stays() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-channels-per-client", "2")
        .flag("--max-channel-bytes", "5")
        .start()
        .await;
    let mut client = Lines::connect(server.address()).await;
    client.subscribe("a").await;
    for (line, error, id) in [
        ("", "bad_request", Value::Null),
        ("hello", "bad_request", Value::Null),
        (r#"{"id":1}"#, "bad_request", json!(1)),
        (r#"{"id":"x","subscribe":[]}"#, "bad_request", json!("x")),
        (
            r#"{"subscribe":["a"],"unsubscribe":["a"]}"#,
            "bad_request",
            Value::Null,
        ),
        (r#"{"subscribe":[""]}"#, "bad_channel", Value::Null),
        (r#"{"subscribe":["connect"]}"#, "bad_channel", Value::Null),
        (
            r#"{"subscribe":["b","abcdef"],"id":2}"#,
            "bad_channel",
            json!(2),
        ),
        (
            r#"{"subscribe":["b","c"],"id":3}"#,
            "too_many_channels",
            json!(3),
        ),
    ] {
        client.send(line).await;
        let answer = client.json().await;
        assert_eq!(answer["ok"], false, "{line}: {answer}");
        assert_eq!(
            (&answer["error"], &answer["id"]),
            (&json!(error), &id),
            "{line}"
        );
        assert!(answer["message"].is_string(), "{line}: {answer}");
    }
    client.socket().send(&raw::frame(0x82, b"binary")).await;
    assert_eq!(client.json().await["error"], "bad_request");
    metrics::limit(server.address(), "max_channel_bytes", 1.0).await;
    metrics::limit(server.address(), "max_channels_per_client", 1.0).await;
    assert_eq!(redis.publish("b", "1").await, 0, "nothing was half done");
    client.subscribe("b").await;
    redis.publish("b", "1").await;
    assert_eq!(client.message("b").await, "1");
}

#[tokio::test]
async fn excepted_sessions_are_spared_whatever_they_speak() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut spared = Lines::connect(server.address()).await;
    let mut other = Lines::connect(server.address()).await;
    let mut socket_io = Client::connect(server.address()).await;
    for client in [&mut spared, &mut other] {
        client.subscribe("a").await;
    }
    socket_io.subscribe("a").await;
    let first = json!({ "data": 1, "except": [spared.id()] }).to_string();
    let second = json!({ "data": 2, "except": [socket_io.id(), other.id()] }).to_string();
    redis.publish("a", &first).await;
    redis.publish("a", &second).await;
    assert_eq!(spared.message("a").await, second);
    assert_eq!(other.message("a").await, first);
    assert_eq!(socket_io.message("a").await, first);
}

#[tokio::test]
async fn namespaces_are_chosen_by_the_query() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--namespace", "/tenant=some:key")
        .start()
        .await;
    let mut root = Lines::connect(server.address()).await;
    let path = "/ws?namespace=%2Ftenant";
    let mut tenant = Lines::connect_at(server.address(), path).await;
    root.subscribe("a").await;
    tenant.subscribe("a").await;
    redis.command(&["PUBLISH", "some:key:a", "1"]).await;
    assert_eq!(tenant.message("a").await, "1");
    redis.publish("a", "2").await;
    assert_eq!(root.message("a").await, "2");
    for path in ["/ws?namespace=/nowhere", "/ws?namespace="] {
        let answer = http::get_with(server.address(), path, &HANDSHAKE).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("bad_request"), "{}", answer.text());
    }
    let answer = http::get(server.address(), "/ws").await;
    assert_eq!(answer.status, 400, "no handshake");
}

#[tokio::test]
async fn a_namespace_with_its_own_behaviour_is_closed() {
    let server = conformance::start().await;
    let answer = http::get_with(server.address(), "/ws", &HANDSHAKE).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains(r#""error":"forbidden""#));
}

#[tokio::test]
async fn other_origins_are_refused_where_origins_are_listed() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--cors-origin", "http://here.example")
        .start()
        .await;
    let mut headers = HANDSHAKE.to_vec();
    headers.push(("origin", "http://there.example"));
    let answer = http::get_with(server.address(), "/ws", &headers).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_client_is_pinged_and_closed_when_it_is_silent() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--ping-interval", "0.1")
        .flag("--ping-timeout", "0.5")
        .start()
        .await;
    let mut socket = Raw::upgraded(server.address(), "/ws").await;
    socket.frame().await.expect("the session id");
    for _ in 0..3 {
        assert_eq!(socket.frame().await.expect("a ping").first, 0x89);
        socket.send(&raw::frame(0x8a, b"")).await;
    }
    let frames = socket.frames().await;
    assert_eq!(frames[0].first, 0x89);
    assert_eq!(frames[1].close_code(), Some(1008), "{frames:?}");
    let reason = r#"reason="ping_timeout""#;
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        reason,
        1.0,
    )
    .await;
}

#[tokio::test]
async fn a_subscription_that_redis_does_not_confirm_is_unavailable_and_not_kept() {
    let mut redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--subscribe-timeout-seconds", "0.2")
        .start()
        .await;
    let mut client = Lines::connect(server.address()).await;
    client.subscribe("a").await;
    redis.stop().await;
    server.unready().await;
    let answer = client.ask(&json!({ "subscribe": ["b"], "id": 7 })).await;
    assert_eq!(
        (&answer["error"], &answer["id"]),
        (&json!("unavailable"), &json!(7))
    );
    metrics::limit(server.address(), "subscribe_timeout_seconds", 1.0).await;
    redis.resume().await;
    server.ready().await;
    redis.publish("a", "1").await;
    assert_eq!(
        client.message("a").await,
        "1",
        "what was live is live again"
    );
    eventually("UNSUBSCRIBE", async || redis.subscribers("b").await == 0).await;
}

/// A frame for a message of a failed test, which has no room for all of it.
fn told(frame: &Frame) -> String {
    let shown = &frame.payload[..frame.payload.len().min(60)];
    let text = String::from_utf8_lossy(shown);
    let (first, length) = (frame.first, frame.payload.len());
    format!("{first:#04x} of {length} bytes, which begin with {text:?}")
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_counted() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-message-bytes", "100000")
        .flag("--max-client-queue-bytes", "300000")
        .start()
        .await;
    let mut witness = Lines::connect(server.address()).await;
    witness.subscribe("a").await;
    let mut slow = Lines::connect(server.address()).await;
    slow.subscribe("a").await;
    let open = r#"transport="ws""#;
    metrics::reaches(server.address(), "womack_connections", open, 2.0).await;
    let envelope = |n| json!({ "data": n, "filling": "x".repeat(60_000) }).to_string();
    let reason = r#"reason="slow_consumer""#;
    for n in 0.. {
        redis.publish("a", &envelope(n)).await;
        assert_eq!(witness.message("a").await, envelope(n));
        let metrics = metrics::Metrics::of(server.address()).await;
        if metrics.sum("womack_connections_closed_total", reason) > 0.5 {
            break;
        }
        assert!(n < 2000, "a client that reads nothing is never cut off");
    }
    let mut frames = slow.end().await;
    // The close is counted before its last bytes are written. A client that begins to read in
    // between makes room for all that waits, and for the close frame behind it.
    let code = frames.last().and_then(Frame::close_code);
    if let Some(code) = code {
        assert_eq!(code, 1008, "after {} frames", frames.len());
        frames.pop();
    }
    for (n, frame) in frames.iter().enumerate() {
        let line = format!(r#"{{"channel":"a","message":{}}}"#, envelope(n));
        assert!(
            frame.payload == line.as_bytes(),
            "frame {n} of {} is not line {n}, but {}",
            frames.len(),
            told(frame)
        );
    }
    metrics::limit(server.address(), "max_client_queue_bytes", 1.0).await;
}

#[tokio::test]
async fn lines_that_are_too_large_or_come_too_fast_end_the_connection() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-payload", "1000")
        .flag("--max-packets-per-second", "20")
        .start()
        .await;
    let large = raw::text(&"x".repeat(1001));
    let many = raw::text(r#"{"unsubscribe":["a"]}"#).repeat(1000);
    for (bytes, code, limit) in [
        (large, 1009, "max_payload"),
        (many, 1008, "max_packets_per_second"),
    ] {
        let mut client = Lines::connect(server.address()).await;
        client.socket().send(&bytes).await;
        let last = client.end().await.pop().expect("a close frame");
        assert_eq!(last.close_code(), Some(code), "{limit}");
        metrics::limit(server.address(), limit, 1.0).await;
    }
}

#[tokio::test]
async fn a_server_that_ends_says_so_with_its_code() {
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    let mut client = Lines::connect(server.address()).await;
    client.subscribe("a").await;
    server.stop().await;
    let frames = client.end().await;
    assert_eq!(frames.first().and_then(Frame::close_code), Some(1001));
}

#[tokio::test]
async fn a_page_needs_no_library() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut page = Page::open(&driver, &server.url("/healthz")).await;
    let script = format!(
        "new Promise((resolve) => {{
            window.got = [];
            const socket = new WebSocket('ws://{}/ws');
            socket.onopen = () => socket.send(JSON.stringify({{ subscribe: ['a'], id: 1 }}));
            socket.onmessage = ({{ data }}) => {{
                const line = JSON.parse(data);
                if (line.id === 1) resolve(line.ok);
                if (line.channel) got.push([line.channel, line.message]);
            }};
        }})",
        server.address()
    );
    assert_eq!(page.evaluate(&script).await, true);
    redis.publish("a", r#"{"data":{"to":"page"}}"#).await;
    page.until("window.got.length === 1").await;
    let got = page.evaluate("window.got[0]").await;
    assert_eq!(got, json!(["a", { "data": { "to": "page" } }]));
}

#[tokio::test]
async fn other_publishers_put_clients_into_channels_and_end_them() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--python-channel", "socketio")
        .start()
        .await;
    let mut client = Lines::connect(server.address()).await;
    let manager = |method: &str| {
        json!({ "method": method, "sid": client.id(), "namespace": "/", "room": "a" }).to_string()
    };
    let (enter, disconnect) = (manager("enter_room"), manager("disconnect"));
    redis.publish_bytes(b"socketio", enter.as_bytes()).await;
    eventually("SUBSCRIBE", async || redis.subscribers("a").await == 1).await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
    let emit = br#"{"method":"emit","event":"e","data":[1],"room":"a"}"#;
    redis.publish_bytes(b"socketio", emit).await;
    metrics::reaches(server.address(), "womack_undeliverable_total", "", 1.0).await;
    redis
        .publish_bytes(b"socketio", disconnect.as_bytes())
        .await;
    let frames = client.end().await;
    assert_eq!(frames[0].close_code(), Some(1000), "{frames:?}");
}
