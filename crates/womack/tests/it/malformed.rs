//! Nonsense of every kind, on every entrance: a clear error or the end, and nobody else notices.
//!
//! Each test keeps one well-behaved client connected, publishes to it between the cases, and
//! finally asks it whether it has missed anything.

use womack_test_support::http::{self, Method};
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Polling, Redis, Server, metrics};

/// A server, and one client that behaves.
struct Scene {
    redis: Redis,
    server: Server,
    witness: Client,
    published: usize,
}

impl Scene {
    async fn open() -> Self {
        let redis = Redis::start().await;
        let launch = Launch::new(&redis).flag("--handshake-seconds", "1");
        let server = launch.flag("--max-message-bytes", "100000").start().await;
        let mut witness = Client::connect(server.address()).await;
        witness.subscribe("witness").await;
        Self {
            redis,
            server,
            witness,
            published: 0,
        }
    }

    /// After a case: the server lives and the witness is served.
    async fn check(&mut self, case: &str) {
        assert!(self.server.is_alive(), "the server died of {case}");
        self.redis
            .publish("witness", &self.published.to_string())
            .await;
        assert_eq!(
            self.witness.message("witness").await,
            self.published.to_string(),
            "{case}"
        );
        self.published += 1;
    }
}

#[tokio::test]
async fn malformed_http_is_refused_or_ended() {
    let mut scene = Scene::open().await;
    let long = "x".repeat(100_000);
    let many = "X-Header: x\r\n".repeat(5000);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing at all", b"".to_vec()),
        ("an empty line and no more", b"\r\n\r\n\r\n\r\n".to_vec()),
        ("no HTTP", b"HELLO\r\n\r\n".to_vec()),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        ("a Redis command", b"*1\r\n$4\r\nPING\r\n".to_vec()),
        ("zeros", vec![0; 4096]),
        ("no version", b"GET /\r\n\r\n".to_vec()),
        (
            "a strange version",
            b"GET / HTTP/9.9\r\nHost: a\r\n\r\n".to_vec(),
        ),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (
            "a header without colon",
            b"GET / HTTP/1.1\r\nHost a\r\n\r\n".to_vec(),
        ),
        (
            "a header with NUL",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n".to_vec(),
        ),
        (
            "a folded header",
            b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n".to_vec(),
        ),
        (
            "a space before the colon",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_vec(),
        ),
        (
            "a path that is too long",
            format!("GET /{long} HTTP/1.1\r\n\r\n").into_bytes(),
        ),
        (
            "too many headers",
            format!("GET / HTTP/1.1\r\n{many}\r\n").into_bytes(),
        ),
        (
            "two lengths",
            b"POST /socket.io/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
                .to_vec(),
        ),
        (
            "a negative length",
            b"POST /socket.io/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        ),
        (
            "a huge length",
            b"POST /socket.io/ HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"
                .to_vec(),
        ),
        (
            "a bad chunk",
            b"POST /socket.io/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n".to_vec(),
        ),
        (
            "CONNECT",
            b"CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\n\r\n".to_vec(),
        ),
        (
            "an asterisk",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
    ];
    for (case, bytes) in cases {
        let mut raw = Raw::connect(scene.server.address()).await;
        raw.send(&bytes).await;
        raw.finish().await;
        let answer = String::from_utf8_lossy(&raw.end().await).into_owned();
        let harmless = case == "an asterisk" && answer.starts_with("HTTP/1.1 204");
        let refused = answer.is_empty()
            || answer.starts_with("HTTP/1.1 4")
            || answer.starts_with("HTTP/1.1 5");
        assert!(refused || harmless, "{case}: {answer}");
        scene.check(case).await;
    }
}

#[tokio::test]
async fn malformed_queries_are_refused() {
    let mut scene = Scene::open().await;
    let sid = "s".repeat(5000);
    let paths = [
        "/socket.io/".to_owned(),
        "/socket.io/?".to_owned(),
        "/socket.io/?EIO".to_owned(),
        "/socket.io/?EIO=4".to_owned(),
        "/socket.io/?EIO=4&EIO=9&transport=%ff%fe".to_owned(),
        "/socket.io/?EIO=4&transport=polling&sid=%00".to_owned(),
        "/socket.io/?EIO=4&transport=polling&sid=..%2f..".to_owned(),
        "/socket.io/?EIO=4&transport=polling&sid=%zz".to_owned(),
        "/socket.io/?EIO=99999999999999999999&transport=polling".to_owned(),
        "/socket.io/?EIO=-4&transport=polling".to_owned(),
        "/socket.io/?EIO=4.0&transport=polling".to_owned(),
        "/socket.io/?EIO=4&transport=webtransport".to_owned(),
        "/socket.io/?EIO=4&transport=flashsocket".to_owned(),
        format!("/socket.io/?EIO=4&transport=polling&sid={sid}"),
    ];
    for path in paths {
        for method in [Method::GET, Method::POST] {
            let answer = http::request(scene.server.address(), method, &path, &[], "").await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            assert!(
                answer.text().starts_with(r#"{"code":"#),
                "{path}: {}",
                answer.text()
            );
        }
        scene.check(&path).await;
    }
}

#[tokio::test]
async fn malformed_upgrades_are_refused() {
    let mut scene = Scene::open().await;
    let cases = [
        (
            "no key",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        ),
        (
            "an old version",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
        (
            "no version",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
        (
            "another protocol",
            "Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
        (
            "no Connection header",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
        (
            "no Upgrade header",
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
    ];
    for (case, headers) in cases {
        let mut raw = Raw::connect(scene.server.address()).await;
        let path = "/socket.io/?EIO=4&transport=websocket";
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes())
            .await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 4"), "{case}: {head}");
        scene.check(case).await;
    }
    for query in [
        "EIO=9&transport=websocket",
        "transport=websocket",
        "EIO=4&transport=abc",
    ] {
        let path = format!("/socket.io/?{query}");
        let error = Client::try_raw(scene.server.address(), &path).await.err();
        let error = error
            .unwrap_or_else(|| panic!("{query} was accepted"))
            .to_string();
        assert!(error.contains("400"), "{query}: {error}");
        scene.check(query).await;
    }
}

/// What a connected client may send that ends its connection.
const FATAL_PACKETS: &[&str] = &[
    "",
    "abc",
    "7",
    "9hello",
    "x",
    "\u{0}",
    "é",
    "4",
    "40",
    "42/nowhere,[\"subscribe\",{\"channel\":\"x\"}]",
    "41/nowhere,",
    "4abc",
    "47",
    "49[]",
    "42",
    "42{}",
    "42abc",
    "42[",
    "42[]",
    "42[null]",
    "42[{}]",
    "42[\"a\"",
    "42[\"a\",]",
    "42[\"a\"]]",
    "42[\"a\"]x",
    "42abc[\"a\",{}]",
    "42-1[\"a\"]",
    "42/[\"a\"",
    "4299999999999999999999999999[\"a\"]",
    "45-[\"a\"]",
    "45x-[\"a\"]",
    "451",
    "4565-[\"a\"]",
    "4599999999999-[\"a\"]",
    "43",
    "43abc[]",
    "431{}",
    "44",
    "42[\"\\ud800\"",
    "42[\"a\",nan]",
    "42['a']",
    "42[\"a\",01]",
];

/// What looks odd and is allowed, or at least changes nothing.
const HARMLESS_PACKETS: &[&str] = &[
    "0",
    "3",
    "6",
    "3probe",
    "42[\"unknown\"]",
    "42[1]",
    "42[\"subscribe\",null]",
    "42[\"subscribe\",{\"channel\":\"\\ud83d\\ude00\"}]",
    "42[ \"subscribe\" , {\"channel\" : \"x\"} ]",
    "40/nowhere,",
    "431[]",
];

/// Asks for an acknowledgement and waits for that or for the end.
async fn is_ended(client: &mut Client) -> bool {
    client
        .try_send(r#"429["unsubscribe",{"channel":"x"}]"#)
        .await;
    while let Some(packet) = client.packet_or_end().await {
        if packet.starts_with("439[") {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn malformed_packets_over_websocket_end_the_connection() {
    let mut scene = Scene::open().await;
    let mut survived = Vec::new();
    for packet in FATAL_PACKETS {
        let mut client = Client::connect(scene.server.address()).await;
        client.send(packet).await;
        if !is_ended(&mut client).await {
            survived.push(*packet);
        }
        scene.check(packet).await;
    }
    assert_eq!(survived, Vec::<&str>::new(), "no reason to end");
}

#[tokio::test]
async fn malformed_packets_over_polling_end_the_session() {
    let mut scene = Scene::open().await;
    let mut survived = Vec::new();
    for packet in FATAL_PACKETS {
        let client = Polling::connect(scene.server.address()).await;
        client.post(packet).await;
        let again = client.post(r#"429["unsubscribe",{"channel":"x"}]"#).await;
        if again.status != 400 {
            survived.push(*packet);
        }
        scene.check(packet).await;
    }
    assert_eq!(survived, Vec::<&str>::new(), "no reason to end");
}

#[tokio::test]
async fn odd_packets_change_nothing() {
    let mut scene = Scene::open().await;
    let mut client = Client::connect(scene.server.address()).await;
    for (n, packet) in HARMLESS_PACKETS.iter().enumerate() {
        client.send(packet).await;
        let channel = format!("after-{n}");
        client.subscribe(&channel).await;
        scene.redis.publish(&channel, "1").await;
        let message = format!(r#"42["{channel}",1]"#);
        client.find(|found| found == message).await;
        scene.check(packet).await;
    }
}

#[tokio::test]
async fn nesting_without_end_does_no_harm() {
    let mut scene = Scene::open().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for packet in [
        format!("42[\"none\",{deep}]"),
        format!("42[\"subscribe\",{deep}]"),
        format!("431{deep}"),
        format!("40{{\"token\":{deep}}}"),
    ] {
        let mut client = Client::connect(scene.server.address()).await;
        client.send(&packet).await;
        // Whether it is an odd argument or too deep to look at is the server's choice.
        is_ended(&mut client).await;
        scene.check(&packet).await;
    }
}

#[tokio::test]
async fn malformed_first_packets_end_the_connection() {
    let mut scene = Scene::open().await;
    for packet in [
        "",
        "abc",
        "4abc",
        "40{",
        "40[]",
        "40\"x\"",
        "40{}x",
        "40/a{",
        "41",
        "42[\"subscribe\",{\"channel\":\"a\"}]",
        "5",
        "2probe",
    ] {
        let mut client = Client::open(scene.server.address()).await;
        client.send(packet).await;
        client.end().await;
        scene.check(packet).await;
    }
}

#[tokio::test]
async fn malformed_bodies_end_the_session() {
    let mut scene = Scene::open().await;
    let bodies: [&[u8]; 8] = [
        b"",
        b"\xff\xfe",
        b"42[\"a\",\"\xc3\"]",
        b"\x1e",
        b"\x1e\x1e\x1e",
        b"42[\"a\"]\x1eabc",
        b"b!!!!",
        b"bAQI",
    ];
    for body in bodies {
        let client = Polling::connect(scene.server.address()).await;
        let mut raw = Raw::connect(scene.server.address()).await;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            client.path(),
            body.len()
        );
        raw.send(&[head.as_bytes(), body].concat()).await;
        let answer = String::from_utf8_lossy(&raw.end().await).into_owned();
        let case = format!("{body:?}");
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 200"),
            "{case}: {answer}"
        );
        if answer.starts_with("HTTP/1.1 400") {
            assert_eq!(client.poll().await.status, 400, "{case}");
        }
        scene.check(&case).await;
    }
}

#[tokio::test]
async fn attachments_that_never_come_do_no_harm() {
    let mut scene = Scene::open().await;
    let mut client = Client::connect(scene.server.address()).await;
    client
        .send(r#"451-["none",{"_placeholder":true,"num":0}]"#)
        .await;
    // Anything but the attachment breaks the rules.
    client.send(r#"42["subscribe",{"channel":"a"}]"#).await;
    client.end().await;
    scene.check("text in place of an attachment").await;
    let mut client = Client::connect(scene.server.address()).await;
    client.send_binary(b"nobody asked").await;
    client.end().await;
    scene.check("binary out of turn").await;
}

#[tokio::test]
async fn malformed_published_messages_are_dropped_and_counted() {
    let mut scene = Scene::open().await;
    let json: [&[u8]; 18] = [
        b"",
        b" ",
        b"hello",
        b"{",
        b"{\"data\":}",
        b"{\"data\":1,}",
        b"{'data':1}",
        b"{\"data\":1}}",
        b"{\"data\":1} {\"data\":2}",
        b"[1,2",
        b"\"open",
        b"01",
        b"NaN",
        b"undefined",
        b"{\"data\":\"\x00\"}",
        b"{\"data\":\"\n\"}",
        b"{\"data\":1}\x00",
        b"\"\\x41\"",
    ];
    let utf8: [&[u8]; 4] = [
        b"\xff",
        b"{\"data\":\"\xc3\"}",
        b"{\"data\":\"\xed\xa0\x80\"}",
        b"{\"\xf8\":1}",
    ];
    let mut rejected = 0.0;
    for payload in json.iter().chain(&utf8) {
        scene
            .redis
            .publish_bytes(b"womack:ns:default:witness", payload)
            .await;
        rejected += 1.0;
        scene
            .check(&format!("{:?}", String::from_utf8_lossy(payload)))
            .await;
        metrics::reaches(
            scene.server.address(),
            "womack_messages_rejected_total",
            "",
            rejected,
        )
        .await;
    }
    let large = vec![b'1'; 100_001];
    scene
        .redis
        .publish_bytes(b"womack:ns:default:witness", &large)
        .await;
    scene.check("an oversize message").await;
    let large = r#"reason="too_large""#;
    metrics::reaches(
        scene.server.address(),
        "womack_messages_rejected_total",
        large,
        1.0,
    )
    .await;
    // It is said, but not once per message.
    let said = scene
        .server
        .log()
        .iter()
        .filter(|line| line.contains(r#""level":"WARN""#))
        .count();
    assert!((1..=23).contains(&said), "{said} warnings");
}

#[tokio::test]
async fn odd_published_messages_are_delivered_or_dropped_whole() {
    let mut scene = Scene::open().await;
    let deep = format!("{}{}", "[".repeat(40_000), "]".repeat(40_000));
    let payloads = [
        deep.as_str(),
        r#"{"data":"\ud800"}"#,
        r#"{"data":"\udc00\ud800"}"#,
        r#"{"data":1,"data":2}"#,
        r#"{"data":1e999}"#,
        r#"{"data":123456789012345678901234567890}"#,
        r#"{"data":"\u0000"}"#,
        "\u{feff}{}",
        r#"{"except":5,"data":1}"#,
        r#"{"except":[1,2,{"a":[]}],"data":1}"#,
        r#"{"except":null,"data":1}"#,
        r#"{"except":"","data":1}"#,
    ];
    for payload in payloads {
        scene.redis.publish("witness", payload).await;
        scene.redis.publish("witness", "\"after\"").await;
        let first = scene.witness.message("witness").await;
        if first != "\"after\"" {
            assert!(first == payload, "{payload:.100} came as {first:.100}");
            assert_eq!(scene.witness.message("witness").await, "\"after\"");
        }
        scene.check(payload).await;
    }
}

#[tokio::test]
async fn redis_channels_that_nobody_asked_for_disturb_nobody() {
    let mut scene = Scene::open().await;
    for channel in [
        &b""[..],
        b"womack:ns:default:",
        b"womack:ns:default",
        b"\xff\xfe",
        b"other:witness",
    ] {
        scene.redis.publish_bytes(channel, b"1").await;
        scene.check(&format!("{channel:?}")).await;
    }
}

#[tokio::test]
async fn nonsense_frames_at_the_wrong_time_do_no_harm() {
    let mut scene = Scene::open().await;
    for case in 0..20u8 {
        let mut raw = Raw::connect(scene.server.address()).await;
        // Frames where a request is expected.
        raw.send(&raw::frame(
            0x80 | case,
            b"42[\"subscribe\",{\"channel\":\"witness\"}]",
        ))
        .await;
        raw.finish().await;
        raw.end().await;
        scene.check(&format!("opcode {case}")).await;
    }
}
