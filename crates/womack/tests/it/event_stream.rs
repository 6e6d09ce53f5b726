//! Server-sent events: the same channels, limits and promises for whoever can only read.

use serde_json::json;
use womack_test_support::browser::Page;
use womack_test_support::raw::Raw;
use womack_test_support::{
    Client, Driver, EventStream, Launch, Lines, Redis, Server, conformance, eventually, http,
    metrics,
};

const CLOSED: &str = "womack_connections_closed_total";
const SLOW: &str = r#"reason="slow_consumer""#;
const SSE: &str = r#"transport="sse""#;

#[tokio::test]
async fn a_message_comes_as_an_event_with_the_published_text() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut stream = EventStream::open(server.address(), "channel=a&channel=b%20c%3Ad").await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
    ] {
        let expected = (name.to_owned(), value.to_owned());
        assert!(stream.headers.contains(&expected), "{:?}", stream.headers);
    }
    let mut ids = Vec::new();
    for envelope in [
        r#"{"data": {"hello":"world"}}"#,
        "9007199254740993",
        r#"["\u00e9", "é", "data: x"]"#,
        "{\n  \"data\": [\n\n    1\n  ]\n}\n",
    ] {
        for channel in ["a", "b c:d"] {
            redis.publish(channel, envelope).await;
            let event = stream.event().await;
            assert_eq!(
                (event.name.as_str(), event.data.as_str()),
                (channel, envelope)
            );
            ids.push(event.id.expect("an id"));
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 8, "each message has an id of its own: {ids:?}");
}

#[tokio::test]
async fn line_endings_of_any_kind_become_line_feeds() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut stream = EventStream::open(server.address(), "channel=a").await;
    redis.publish("a", "[1,\r\n2,\r3]").await;
    assert_eq!(stream.message("a").await, "[1,\n2,\n3]");
}

#[tokio::test]
async fn a_name_with_line_endings_breaks_nothing() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let query = "channel=a%0Adata:%20x%0D%0A%0A";
    let mut stream = EventStream::open(server.address(), query).await;
    redis.publish("a\ndata: x\r\n\n", "1").await;
    let event = stream.event().await;
    assert_eq!(event.name, "a%0Adata: x%0D%0A%0A");
    assert_eq!(event.data, "1");
}

#[tokio::test]
async fn the_answer_begins_when_all_channels_are_live() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for n in 0..20 {
        let query = format!("channel=a-{n}&channel=b-{n}");
        let mut stream = EventStream::open(server.address(), &query).await;
        let channel = format!("b-{n}");
        redis.publish(&channel, "1").await;
        assert_eq!(stream.message(&channel).await, "1");
    }
}

#[tokio::test]
async fn a_client_that_comes_back_is_told_of_the_gap() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut stream = EventStream::open(server.address(), "channel=a").await;
    redis.publish("a", "1").await;
    let last = stream.event().await.id.expect("an id");
    drop(stream);
    redis.publish("a", "2").await;
    let received = "womack_messages_received_total";
    metrics::reaches(server.address(), received, "", 2.0).await;
    let header = [("last-event-id", last.as_str())];
    let mut stream = EventStream::open_with(server.address(), "channel=a", &header).await;
    let gap = stream.event().await;
    assert_eq!((gap.name.as_str(), gap.id.as_ref()), ("womack:gap", None));
    assert_eq!(gap.json(), json!({ "last": last }));
    redis.publish("a", "3").await;
    assert_eq!(stream.message("a").await, "3", "what was between is gone");
    let mut stream = EventStream::open(server.address(), "channel=a").await;
    redis.publish("a", "4").await;
    assert_eq!(
        stream.message("a").await,
        "4",
        "no gap for who was not there"
    );
}

#[tokio::test]
async fn excepted_sessions_are_spared_whatever_they_speak() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut spared = EventStream::open(server.address(), "channel=a").await;
    let mut socket_io = Client::connect(server.address()).await;
    let mut lines = Lines::connect(server.address()).await;
    socket_io.subscribe("a").await;
    lines.subscribe("a").await;
    let first = json!({ "data": 1, "except": spared.id() }).to_string();
    redis.publish("a", &first).await;
    redis.publish("a", "2").await;
    assert_eq!(spared.message("a").await, "2");
    for expected in [first.as_str(), "2"] {
        assert_eq!(socket_io.message("a").await, expected);
        assert_eq!(lines.message("a").await, expected);
    }
}

#[tokio::test]
async fn invalid_requests_are_refused_with_their_code() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-channels-per-client", "2")
        .flag("--max-channel-bytes", "5")
        .start()
        .await;
    for (query, code) in [
        ("", "bad_request"),
        ("?channels=a", "bad_request"),
        ("?channel=a&namespace=/nowhere", "bad_request"),
        ("?channel=", "bad_channel"),
        ("?channel=connect", "bad_channel"),
        ("?channel=a&channel=abcdef", "bad_channel"),
        ("?channel=a&channel=b&channel=c", "too_many_channels"),
    ] {
        let answer = http::get(server.address(), &format!("/events{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        let body: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!((&body["ok"], &body["error"]), (&json!(false), &json!(code)));
        let refused = format!("reason=\"{code}\"");
        metrics::reaches(
            server.address(),
            "womack_requests_refused_total",
            &refused,
            1.0,
        )
        .await;
    }
    metrics::limit(server.address(), "max_channel_bytes", 1.0).await;
    metrics::limit(server.address(), "max_channels_per_client", 1.0).await;
    let answer = http::post(server.address(), "/events?channel=a", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET"));
    // Twice the same is once.
    EventStream::open(server.address(), "channel=a&channel=b&channel=a").await;
}

#[tokio::test]
async fn a_namespace_has_its_own_channels_or_is_closed() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--namespace", "/tenant=some:key")
        .start()
        .await;
    let query = "channel=a&namespace=/tenant";
    let mut tenant = EventStream::open(server.address(), query).await;
    redis.publish("a", "1").await;
    redis.command(&["PUBLISH", "some:key:a", "2"]).await;
    assert_eq!(tenant.message("a").await, "2");
    let server = conformance::start().await;
    let answer = http::get(server.address(), "/events?channel=a").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains(r#""error":"forbidden""#));
}

#[tokio::test]
async fn only_listed_origins_may_open_a_stream() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--cors-origin", "http://here.example")
        .start()
        .await;
    let here = [("origin", "http://here.example")];
    let stream = EventStream::open_with(server.address(), "channel=a", &here).await;
    for (name, value) in [
        ("access-control-allow-origin", "http://here.example"),
        ("access-control-allow-credentials", "true"),
        ("vary", "Origin"),
    ] {
        let expected = (name.to_owned(), value.to_owned());
        assert!(stream.headers.contains(&expected), "{:?}", stream.headers);
    }
    let there = [("origin", "http://there.example")];
    let answer = http::get_with(server.address(), "/events?channel=a", &there).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn without_redis_the_answer_is_503_and_nothing_is_kept() {
    let mut redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--subscribe-timeout-seconds", "0.2")
        .flag("--unsubscribe-grace-seconds", "0")
        .start()
        .await;
    let mut stream = EventStream::open(server.address(), "channel=a").await;
    redis.stop().await;
    server.unready().await;
    for _ in 0..2 {
        let answer = http::get(server.address(), "/events?channel=a&channel=b").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), "1");
        assert!(answer.text().contains(r#""error":"unavailable""#));
    }
    metrics::reaches(server.address(), CLOSED, r#"reason="unavailable""#, 2.0).await;
    metrics::limit(server.address(), "subscribe_timeout_seconds", 2.0).await;
    redis.resume().await;
    server.ready().await;
    redis.publish("a", "1").await;
    assert_eq!(stream.message("a").await, "1", "who was there stays");
    eventually("UNSUBSCRIBE", async || redis.subscribers("b").await == 0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_forgotten() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--unsubscribe-grace-seconds", "0")
        .start()
        .await;
    let stream = EventStream::open(server.address(), "channel=a").await;
    let metrics = metrics::Metrics::of(server.address()).await;
    assert!(
        metrics.sum("womack_connections", SSE) > 0.5,
        "{}",
        metrics.text()
    );
    drop(stream);
    metrics::reaches(server.address(), CLOSED, r#"reason="transport_close""#, 1.0).await;
    eventually("UNSUBSCRIBE", async || redis.subscribers("a").await == 0).await;
    let metrics = metrics::Metrics::of(server.address()).await;
    for name in [
        "womack_connections",
        "womack_subscriptions",
        "womack_client_queue_bytes",
    ] {
        assert!(
            metrics.sum(name, "").abs() < 0.5,
            "{name}: {}",
            metrics.text()
        );
    }
}

#[tokio::test]
async fn comments_come_when_nothing_else_does() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--ping-interval", "0.1")
        .flag("--ping-timeout", "0.1")
        .start()
        .await;
    let mut stream = EventStream::open(server.address(), "channel=a").await;
    for _ in 0..5 {
        let comment = stream.next().await.expect("a comment");
        assert!(comment.name.is_empty() && comment.data.is_empty());
    }
    redis.publish("a", "1").await;
    assert_eq!(
        stream.message("a").await,
        "1",
        "nobody waited for an answer"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_counted() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-message-bytes", "100000")
        .flag("--max-client-queue-bytes", "300000")
        .start()
        .await;
    let mut witness = EventStream::open(server.address(), "channel=a").await;
    let mut slow = Raw::connect(server.address()).await;
    slow.send(b"GET /events?channel=a HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(slow.head().await.starts_with("HTTP/1.1 200"));
    let envelope = |n| json!({ "data": n, "filling": "x".repeat(60_000) }).to_string();
    for n in 0.. {
        redis.publish("a", &envelope(n)).await;
        assert_eq!(witness.message("a").await, envelope(n));
        let metrics = metrics::Metrics::of(server.address()).await;
        if metrics.sum(CLOSED, SLOW) > 0.5 {
            break;
        }
        assert!(n < 2000, "a client that reads nothing is never cut off");
    }
    // What it does read is without a gap, and then the stream breaks off.
    let bytes = slow.end().await;
    let text = String::from_utf8_lossy(&bytes);
    let numbers = text.matches("data: {\"data\":").count();
    assert!(numbers > 0);
    for n in 0..numbers {
        assert!(
            text.contains(&format!("data: {{\"data\":{n},")),
            "{n} is missing"
        );
    }
    assert!(!text.ends_with("0\r\n\r\n"), "it does not look complete");
    let metrics = metrics::Metrics::of(server.address()).await;
    assert!(metrics.sum("womack_connections", SSE) < 1.5);
    let left = metrics.sum("womack_client_queue_bytes", "");
    assert!(left.abs() < 0.5, "{}", metrics.text());
    metrics::limit(server.address(), "max_client_queue_bytes", 1.0).await;
}

#[tokio::test]
async fn a_burst_over_the_limit_closes_nobody_if_the_socket_takes_it() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-message-bytes", "10000")
        .flag("--max-client-queue-bytes", "20000")
        .start()
        .await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(EventStream::open(server.address(), "channel=a").await);
    }
    let envelope = |n| format!("{{\"data\":{n},\"filling\":\"{}\"}}", "x".repeat(1000));
    // Three times the limit, and well within what the system keeps for a connection.
    for round in 0..20 {
        let numbers = round * 60..(round + 1) * 60;
        redis.publish_all("a", numbers.clone().map(envelope)).await;
        for stream in &mut streams {
            for n in numbers.clone() {
                assert_eq!(stream.message("a").await, envelope(n));
            }
        }
    }
    let metrics = metrics::Metrics::of(server.address()).await;
    assert!(metrics.sum(CLOSED, "") < 0.5, "{}", metrics.text());
}

#[tokio::test]
async fn a_server_that_ends_ends_the_streams_whole() {
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    let mut raw = Raw::connect(server.address()).await;
    raw.send(b"GET /events?channel=a HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200"));
    server.stop().await;
    assert!(raw.end().await.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_page_gets_events_from_another_server_and_after_a_restart() {
    let redis = Redis::start().await;
    let page_server = Server::start(&redis).await;
    let mut server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut page = Page::open(&driver, &page_server.url("/healthz")).await;
    let script = format!(
        "new Promise((resolve) => {{
            window.got = [];
            window.gaps = [];
            const source = new EventSource({url});
            source.addEventListener('a', ({{ data }}) => got.push(JSON.parse(data)));
            source.addEventListener('womack:gap', ({{ data }}) => gaps.push(JSON.parse(data).last));
            source.addEventListener('womack:session', () => resolve(true));
        }})",
        url = json!(server.url("/events?channel=a")),
    );
    assert_eq!(page.evaluate(&script).await, true);
    redis
        .publish("a", "{\n\"data\": {\"to\": \"page\"}\n}")
        .await;
    page.until("window.got.length === 1").await;
    let got = page.evaluate("window.got[0]").await;
    assert_eq!(got, json!({ "data": { "to": "page" } }));
    server.stop().await;
    let server = server.launch().at(server.address()).start().await;
    page.until("window.gaps.length === 1").await;
    redis.publish("a", "2").await;
    page.until("window.got.length === 2").await;
    assert_eq!(page.evaluate("window.got[1]").await, 2);
    drop(server);
}
