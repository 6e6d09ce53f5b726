//! What the official conformance suites ask for, against the example that offers it.
//!
//! `/engine.io/` sends every message back; `/socket.io/` has the namespaces `/` and `/custom`,
//! which emit `auth` on connect, and answer `message` and `message-with-ack`.

use serde_json::{Value, json};
use womack_test_support::http::{self, Answer, Method};
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Server, conformance, within};

const ENGINE_POLLING: &str = "/engine.io/?EIO=4&transport=polling";
const ENGINE_SOCKET: &str = "/engine.io/?EIO=4&transport=websocket";
const SOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Opens an Engine.IO session over polling; returns the path of its requests.
async fn polling(server: &Server) -> String {
    let answer = http::get(server.address(), ENGINE_POLLING).await;
    let text = answer.text();
    let open: Value = serde_json::from_str(&text[1..]).expect("JSON in the open packet");
    let sid = open["sid"].as_str().expect("a session id");
    format!("{ENGINE_POLLING}&sid={sid}")
}

async fn get(server: &Server, path: &str) -> Answer {
    http::get(server.address(), path).await
}

async fn post(server: &Server, path: &str, body: &str) -> Answer {
    http::post(server.address(), path, body).await
}

/// A Socket.IO client that has joined `/` and heard `auth`.
async fn joined(server: &Server) -> Client {
    let mut client = Client::raw(server.address(), SOCKET).await;
    assert!(client.packet().await.starts_with("0{"));
    client.join("/").await;
    assert_eq!(client.packet().await, r#"42["auth",{}]"#);
    client
}

#[tokio::test]
async fn open_packets_have_exactly_five_keys() {
    let server = conformance::start().await;
    let mut socket = Client::raw(server.address(), ENGINE_SOCKET).await;
    let over_polling = get(&server, ENGINE_POLLING).await.text();
    for (packet, upgrades) in [
        (over_polling, json!(["websocket"])),
        (socket.packet().await, json!([])),
    ] {
        let mut open: Value = serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
        assert!(
            open["sid"].as_str().is_some_and(|sid| sid.len() > 10),
            "{open}"
        );
        open["sid"].take();
        let rest = json!({
            "sid": null, "upgrades": upgrades,
            "pingInterval": 300, "pingTimeout": 200, "maxPayload": 1_000_000,
        });
        assert_eq!(open, rest);
    }
}

#[tokio::test]
async fn invalid_handshakes_get_400() {
    let server = conformance::start().await;
    for query in [
        "transport=polling",
        "EIO=abc&transport=polling",
        "EIO=4",
        "EIO=4&transport=abc",
    ] {
        for path in ["/engine.io/", "/socket.io/"] {
            assert_eq!(
                get(&server, &format!("{path}?{query}")).await.status,
                400,
                "{query}"
            );
        }
    }
    for method in [Method::POST, Method::PUT] {
        let answer = http::request(server.address(), method, ENGINE_POLLING, &[], "").await;
        assert_eq!(answer.status, 400);
    }
}

#[tokio::test]
async fn polling_echoes_text_and_binary() {
    let server = conformance::start().await;
    let path = polling(&server).await;
    for body in [
        "4hello",
        "4hello\u{1e}4world\u{1e}4é😀",
        "4hello\u{1e}bAQIDBA==",
        "4",
        "bAA==",
    ] {
        let answer = post(&server, &path, body).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok"),
            "{body}"
        );
        let mut packets = Vec::new();
        while packets.len() < body.split('\u{1e}').count() {
            let text = get(&server, &path).await.text();
            packets.extend(text.split('\u{1e}').map(str::to_owned));
            packets.retain(|packet| packet != "2");
        }
        assert_eq!(packets.join("\u{1e}"), body);
        post(&server, &path, "3").await;
    }
}

#[tokio::test]
async fn an_invalid_polling_body_ends_the_session() {
    let server = conformance::start().await;
    let path = polling(&server).await;
    post(&server, &path, "abc").await;
    assert_eq!(get(&server, &path).await.status, 400);
}

#[tokio::test]
async fn of_two_polls_the_first_is_closed_and_the_second_refused() {
    let server = conformance::start().await;
    let path = polling(&server).await;
    let (one, other) = tokio::join!(get(&server, &path), get(&server, &path));
    let (closed, refused) = if one.status == 200 {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!((closed.status, closed.text().as_str()), (200, "1"));
    assert!(matches!(refused.status, 400 | 500), "{}", refused.status);
    assert_eq!(get(&server, &path).await.status, 400);
}

#[tokio::test]
async fn websocket_echoes_text_and_binary() {
    let server = conformance::start().await;
    let mut socket = Raw::upgraded(server.address(), ENGINE_SOCKET).await;
    socket.frame().await.expect("the open packet");
    socket.send(&raw::text("4hello é😀")).await;
    let frame = socket.frame().await.expect("an echo");
    assert_eq!(
        (frame.first, frame.payload.as_slice()),
        (0x81, "4hello é😀".as_bytes())
    );
    socket.send(&raw::frame(0x82, &[1, 2, 3, 4])).await;
    let frame = socket.frame().await.expect("an echo");
    assert_eq!(
        (frame.first, frame.payload.as_slice()),
        (0x82, &[1, 2, 3, 4][..])
    );
    socket.send(&raw::text("abc")).await;
    let frames = socket.frames().await;
    assert!(frames.iter().all(|frame| frame.first == 0x88), "{frames:?}");
}

#[tokio::test]
async fn a_polling_session_is_pinged_and_ends_without_a_pong() {
    let server = conformance::start().await;
    let path = polling(&server).await;
    for _ in 0..3 {
        assert_eq!(get(&server, &path).await.text(), "2");
        assert_eq!(post(&server, &path, "3").await.text(), "ok");
    }
    // The next ping stays without an answer.
    assert_eq!(get(&server, &path).await.text(), "2");
    within("the session to end", async {
        while get(&server, &path).await.status != 400 {}
    })
    .await;
}

#[tokio::test]
async fn a_websocket_is_pinged_and_ends_without_a_pong() {
    let server = conformance::start().await;
    let mut socket = Client::raw(server.address(), ENGINE_SOCKET).await;
    socket.ignore_pings();
    socket.packet().await;
    for _ in 0..3 {
        assert_eq!(socket.packet().await, "2");
        socket.send("3").await;
    }
    let (packets, _) = socket.end().await;
    assert_eq!(packets, ["2"]);
}

#[tokio::test]
async fn closing_frees_the_waiting_poll() {
    let server = conformance::start().await;
    let path = polling(&server).await;
    let poll = tokio::spawn({
        let (address, path) = (server.address(), path.clone());
        async move { http::get(address, &path).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(post(&server, &path, "1").await.status, 200);
    let poll = poll.await.expect("a poll");
    assert_eq!(poll.status, 200, "whichever of the two came first");
    if poll.text() == "2" {
        // A ping came before the goodbye.
        assert_eq!(get(&server, &path).await.text(), "6");
    } else {
        assert_eq!(poll.text(), "6");
    }
    assert_eq!(get(&server, &path).await.status, 400);

    let mut socket = Client::raw(server.address(), ENGINE_SOCKET).await;
    socket.packet().await;
    socket.send("1").await;
    socket.end().await;
}

#[tokio::test]
async fn upgrades_are_completed_once() {
    let server = conformance::start().await;
    let path = polling(&server).await;
    let upgrade = path.replace("polling", "websocket");
    let mut socket = Client::raw(server.address(), &upgrade).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    let poll = get(&server, &path).await.text();
    assert!(poll == "6" || poll == "2", "{poll}");
    socket.send("5").await;
    socket.send("4hello").await;
    assert_eq!(
        socket.find(|packet| packet.starts_with('4')).await,
        "4hello"
    );
    assert_eq!(get(&server, &path).await.status, 400);
    let mut second = Client::raw(server.address(), &upgrade).await;
    second.end().await;
    socket.send("4again").await;
    assert_eq!(
        socket.find(|packet| packet.starts_with('4')).await,
        "4again"
    );
}

#[tokio::test]
async fn connecting_tells_the_session_id_and_nothing_else() {
    let server = conformance::start().await;
    let cases = [
        ("40", "40{", r#"42["auth",{}]"#),
        (
            r#"40{"token":"123"}"#,
            "40{",
            r#"42["auth",{"token":"123"}]"#,
        ),
        ("40/custom,", "40/custom,{", r#"42/custom,["auth",{}]"#),
        ("40/custom", "40/custom,{", r#"42/custom,["auth",{}]"#),
        (
            r#"40/custom,{"token":"abc"}"#,
            "40/custom,{",
            r#"42/custom,["auth",{"token":"abc"}]"#,
        ),
    ];
    for (connect, head, auth) in cases {
        let mut client = Client::raw(server.address(), SOCKET).await;
        client.packet().await;
        client.send(connect).await;
        let answer = client.packet().await;
        assert!(answer.starts_with(head), "{connect}: {answer}");
        let payload: Value = serde_json::from_str(&answer[head.len() - 1..]).unwrap();
        let keys: Vec<_> = payload.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["sid"], "{connect}: {answer}");
        assert_eq!(client.packet().await, auth, "{connect}");
    }
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_an_invalid_or_missing_connect_ends_the_connection() {
    let server = conformance::start().await;
    let mut client = Client::raw(server.address(), SOCKET).await;
    client.packet().await;
    client.send("40/random").await;
    assert_eq!(
        client.packet().await,
        r#"44/random,{"message":"Invalid namespace"}"#
    );
    let mut nonsense = Client::raw(server.address(), SOCKET).await;
    nonsense.packet().await;
    nonsense.send("4abc").await;
    nonsense.end().await;
    let mut silent = Client::raw(server.address(), SOCKET).await;
    silent.packet().await;
    silent.end().await;
}

#[tokio::test]
async fn leaving_is_not_answered() {
    let server = conformance::start().await;
    let mut client = joined(&server).await;
    client.ignore_pings();
    client.send("41").await;
    assert_eq!(client.packet().await, "2");

    let mut client = joined(&server).await;
    client.send("40/custom").await;
    assert!(client.packet().await.starts_with("40/custom,{"));
    assert_eq!(client.packet().await, r#"42/custom,["auth",{}]"#);
    client.send("41/custom").await;
    client.send(r#"42["message","still here"]"#).await;
    assert_eq!(client.packet().await, r#"42["message-back","still here"]"#);
}

#[tokio::test]
async fn events_come_back_with_the_same_arguments() {
    let server = conformance::start().await;
    let mut client = joined(&server).await;
    client.send(r#"42["message",1,"2",{"3":[true]}]"#).await;
    assert_eq!(
        client.packet().await,
        r#"42["message-back",1,"2",{"3":[true]}]"#
    );
    client
        .send(r#"42456["message-with-ack",1,"2",{"3":[false]}]"#)
        .await;
    assert_eq!(client.packet().await, r#"43456[1,"2",{"3":[false]}]"#);
}

#[tokio::test]
async fn binary_arguments_come_back_with_their_attachments() {
    let server = conformance::start().await;
    let mut socket = Raw::socket(server.address()).await;
    socket.frame().await.expect("auth");
    let placeholders = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    for (sent, head, answer) in [
        (
            format!(r#"452-["message",{placeholders}]"#),
            "452-",
            "\"message-back\",",
        ),
        (
            format!(r#"452-789["message-with-ack",{placeholders}]"#),
            "462-789",
            "",
        ),
    ] {
        socket.send(&raw::text(&sent)).await;
        socket.send(&raw::frame(0x82, &[1, 2, 3])).await;
        socket.send(&raw::frame(0x82, &[4, 5, 6])).await;
        let mut frames = Vec::new();
        while frames.len() < 3 {
            let frame = socket.frame().await.expect("a frame");
            if frame.payload == b"2" {
                socket.send(&raw::text("3")).await;
            } else {
                frames.push((frame.first, frame.payload));
            }
        }
        let packet = format!("{head}[{answer}{placeholders}]").into_bytes();
        assert_eq!(
            frames,
            [(0x81, packet), (0x82, vec![1, 2, 3]), (0x82, vec![4, 5, 6])]
        );
    }
}

#[tokio::test]
async fn invalid_packets_end_the_connection() {
    let server = conformance::start().await;
    for packet in ["4abc", "42{}", "42abc[\"message-with-ack\",1]"] {
        let mut client = joined(&server).await;
        client.send(packet).await;
        client.end().await;
    }
}
