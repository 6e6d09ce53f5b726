//! What the official conformance suite of Engine.IO 3 asks for, against the example that offers
//! it, and the same of Socket.IO 4 on top.

use serde_json::Value;
use womack_test_support::http::{self, Answer, Method};
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Server, conformance, within};

const POLLING: &str = "/engine.io/?EIO=3&transport=polling";
const SOCKET: &str = "/engine.io/?EIO=3&transport=websocket";

/// Opens a session over polling; returns the path of its requests.
async fn polling(server: &Server, parameters: &str) -> String {
    let answer = http::get(server.address(), &format!("{POLLING}{parameters}")).await;
    let text = answer.text();
    let (length, packet) = text.split_once(':').expect("a length");
    assert_eq!(length, packet.len().to_string());
    let open: Value = serde_json::from_str(&packet[1..]).expect("JSON in the open packet");
    assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
    let sid = open["sid"].as_str().expect("a session id");
    format!("{POLLING}&sid={sid}")
}

async fn get(server: &Server, path: &str) -> Answer {
    http::get(server.address(), path).await
}

async fn post(server: &Server, path: &str, body: &str) -> Answer {
    http::post(server.address(), path, body).await
}

#[tokio::test]
async fn open_packets_tell_the_timing() {
    let server = conformance::start().await;
    let mut socket = Client::raw(server.address(), SOCKET).await;
    let packet = socket.packet().await;
    let open: Value = serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
    let told = [
        &open["upgrades"],
        &open["pingInterval"],
        &open["pingTimeout"],
    ];
    assert_eq!(told, [&serde_json::json!([]), &300.into(), &200.into()]);
    polling(&server, "").await;
}

#[tokio::test]
async fn invalid_handshakes_get_400() {
    let server = conformance::start().await;
    for path in ["/engine.io/?EIO=3", "/engine.io/?EIO=3&transport=abc"] {
        assert_eq!(get(&server, path).await.status, 400, "{path}");
    }
    for method in [Method::POST, Method::PUT] {
        let answer = http::request(server.address(), method, POLLING, &[], "").await;
        assert_eq!(answer.status, 400);
    }
}

#[tokio::test]
async fn polling_echoes_text() {
    let server = conformance::start().await;
    let path = polling(&server, "").await;
    // Messages of Engine.IO alone are no JSON; nothing is escaped.
    for body in ["6:4hello", "6:4test16:4test26:4test3", "4:4é😀1:4"] {
        assert_eq!(post(&server, &path, body).await.text(), "ok");
        let answer = get(&server, &path).await;
        assert_eq!(answer.text(), body);
        assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    }
}

#[tokio::test]
async fn polling_echoes_binary_as_base64_or_bytes() {
    let server = conformance::start().await;
    let sent = "6:4hello10:b4AQIDBA==";
    let path = polling(&server, "&b64=1").await;
    post(&server, &path, sent).await;
    assert_eq!(get(&server, &path).await.text(), sent);

    let path = polling(&server, "").await;
    let bytes = b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04";
    post(&server, &path, sent).await;
    let answer = get(&server, &path).await;
    assert_eq!(&*answer.bytes, bytes);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
}

#[tokio::test]
async fn polling_takes_bytes() {
    let server = conformance::start().await;
    let path = polling(&server, "&b64=1").await;
    let bytes = b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04";
    let mut raw = Raw::connect(server.address()).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\n\r\n",
        bytes.len()
    );
    raw.send(&[head.as_bytes(), bytes].concat()).await;
    let answer = raw.head().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let echo = get(&server, &path).await.text();
    assert_eq!(echo, "6:4hello10:b4AQIDBA==");
}

#[tokio::test]
async fn an_invalid_polling_body_ends_the_session() {
    let server = conformance::start().await;
    for nonsense in ["abc", "3:4", "4hello", "3:abc", "1:3"] {
        let path = polling(&server, "").await;
        let answer = post(&server, &path, nonsense).await;
        assert_eq!(answer.status, 400, "{nonsense}");
        assert_eq!(get(&server, &path).await.status, 400, "{nonsense}");
    }
}

#[tokio::test]
async fn of_two_polls_the_first_is_closed_and_the_second_refused() {
    let server = conformance::start().await;
    let path = polling(&server, "").await;
    let (one, other) = tokio::join!(get(&server, &path), get(&server, &path));
    let (closed, refused) = if one.status == 200 {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!((closed.status, closed.text().as_str()), (200, "1:1"));
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn websocket_echoes_text_and_binary() {
    let server = conformance::start().await;
    let mut socket = Raw::upgraded(server.address(), SOCKET).await;
    socket.frame().await.expect("the open packet");
    for (first, payload) in [
        (0x81, "4hello é😀".as_bytes()),
        (0x82, &[4, 1, 2, 3, 4][..]),
        (0x82, &[4]),
    ] {
        socket.send(&raw::frame(first, payload)).await;
        let frame = socket.frame().await.expect("an echo");
        assert_eq!((frame.first, &*frame.payload), (first, payload));
    }
    socket.send(&raw::text("abc")).await;
    let frames = socket.frames().await;
    assert!(frames.iter().all(|frame| frame.first == 0x88), "{frames:?}");
}

#[tokio::test]
async fn pings_of_clients_are_answered_and_silence_ends_the_session() {
    let server = conformance::start().await;
    let path = polling(&server, "").await;
    let mut socket = Client::raw(server.address(), SOCKET).await;
    socket.packet().await;
    for _ in 0..3 {
        assert_eq!(post(&server, &path, "1:2").await.text(), "ok");
        assert_eq!(get(&server, &path).await.text(), "1:3");
        socket.send("2probe").await;
        assert_eq!(socket.packet().await, "3probe");
    }
    // Both fall silent.
    assert_eq!(socket.end().await.0, [""; 0]);
    within("the session to end", async {
        while get(&server, &path).await.status != 400 {}
    })
    .await;
}

#[tokio::test]
async fn closing_frees_the_waiting_poll() {
    let server = conformance::start().await;
    let path = polling(&server, "").await;
    let (poll, posted) = tokio::join!(get(&server, &path), post(&server, &path, "1:1"));
    assert_eq!(posted.status, 200);
    // The close may have come before the poll, which then finds nothing.
    let freed = poll.status == 200 && poll.text() == "1:6";
    assert!(
        freed || poll.status == 400,
        "{} {}",
        poll.status,
        poll.text()
    );
    assert_eq!(get(&server, &path).await.status, 400);
}

#[tokio::test]
async fn upgrades_are_completed_once() {
    let server = conformance::start().await;
    let path = polling(&server, "").await;
    let upgrade = path.replace("polling", "websocket");
    let mut socket = Client::raw(server.address(), &upgrade).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    assert_eq!(get(&server, &path).await.text(), "1:6");
    socket.send("5").await;
    socket.send("4hello").await;
    assert_eq!(socket.packet().await, "4hello");
    assert_eq!(get(&server, &path).await.status, 400);
    let mut second = Client::raw(server.address(), &upgrade).await;
    second.end().await;
    socket.send("4again").await;
    assert_eq!(socket.packet().await, "4again");
}

#[tokio::test]
async fn namespaces_are_joined_with_a_query() {
    let server = conformance::start().await;
    let mut client = Client::connect_eio3(server.address()).await;
    assert_eq!(client.packet().await, r#"42["auth",{}]"#);
    client.send("40/custom?token=abc,").await;
    assert_eq!(client.packet().await, "40/custom,");
    let auth = r#"42/custom,["auth",{"token":"abc"}]"#;
    assert_eq!(client.packet().await, auth);
    client.send("40/random").await;
    let refusal = r#"44/random,{"message":"Invalid namespace"}"#;
    assert_eq!(client.packet().await, refusal);
    client.send(r#"42["message",1]"#).await;
    assert_eq!(client.packet().await, r#"42["message-back",1]"#);
}

#[tokio::test]
async fn binary_arguments_come_back_with_their_attachments() {
    let server = conformance::start().await;
    let path = SOCKET.replace("engine.io", "socket.io");
    let mut socket = Raw::upgraded(server.address(), &path).await;
    for head in ["0{", "40", "42["] {
        let frame = socket.frame().await.expect("a packet");
        assert!(frame.payload.starts_with(head.as_bytes()), "{frame:?}");
    }
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    for (sent, answer) in [
        (
            format!(r#"451-["message",{placeholder}]"#),
            format!(r#"451-["message-back",{placeholder}]"#),
        ),
        (
            format!(r#"451-7["message",{placeholder}]"#),
            format!(r#"461-7[{placeholder}]"#),
        ),
    ] {
        socket.send(&raw::text(&sent)).await;
        socket.send(&raw::frame(0x82, &[4, 1, 2, 3])).await;
        for (first, payload) in [(0x81, answer.as_bytes()), (0x82, &[4, 1, 2, 3])] {
            let frame = socket.frame().await.expect("a frame");
            assert_eq!((frame.first, &*frame.payload), (first, payload));
        }
    }
}
