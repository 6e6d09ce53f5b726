//! WebSocket frames, byte by byte: what RFC 6455 forbids ends the connection with the right code.

use womack_test_support::raw::{self, Frame, Raw};
use womack_test_support::{Client, Launch, Redis, Server};

const PROTOCOL_ERROR: &[u16] = &[1002];
const BAD_TEXT: &[u16] = &[1007];
const TOO_BIG: &[u16] = &[1009];

/// Bytes that end a connection, and the codes that may be given for it.
type Case = (&'static str, Vec<u8>, &'static [u16]);

fn forbidden() -> Vec<Case> {
    let mut cases: Vec<Case> = vec![
        (
            "a frame without a mask",
            raw::unmasked(0x81, b"3"),
            PROTOCOL_ERROR,
        ),
        (
            "a ping without a mask",
            raw::unmasked(0x89, b""),
            PROTOCOL_ERROR,
        ),
        ("RSV1", raw::frame(0xc1, b"3"), PROTOCOL_ERROR),
        ("RSV2", raw::frame(0xa1, b"3"), PROTOCOL_ERROR),
        ("RSV3", raw::frame(0x91, b"3"), PROTOCOL_ERROR),
        ("RSV1 on a ping", raw::frame(0xc9, b""), PROTOCOL_ERROR),
        (
            "a ping in fragments",
            raw::frame(0x09, b"x"),
            PROTOCOL_ERROR,
        ),
        (
            "a pong in fragments",
            raw::frame(0x0a, b"x"),
            PROTOCOL_ERROR,
        ),
        (
            "a close in fragments",
            raw::frame(0x08, &[3, 232]),
            PROTOCOL_ERROR,
        ),
        (
            "a ping of 126 bytes",
            raw::frame(0x89, &[b'x'; 126]),
            PROTOCOL_ERROR,
        ),
        (
            "a close of 126 bytes",
            raw::frame(0x88, &[b'x'; 126]),
            PROTOCOL_ERROR,
        ),
        (
            "a close of one byte",
            raw::frame(0x88, &[3]),
            PROTOCOL_ERROR,
        ),
        (
            "a close with bad text",
            raw::frame(0x88, &[3, 232, 0xff]),
            &[1002, 1007],
        ),
        (
            "a continuation of nothing",
            raw::frame(0x80, b"x"),
            PROTOCOL_ERROR,
        ),
        (
            "an unfinished continuation of nothing",
            raw::frame(0x00, b"x"),
            PROTOCOL_ERROR,
        ),
        (
            "text within text",
            two(raw::frame(0x01, b"a"), raw::frame(0x81, b"b")),
            PROTOCOL_ERROR,
        ),
        (
            "binary within text",
            two(raw::frame(0x01, b"a"), raw::frame(0x82, b"b")),
            PROTOCOL_ERROR,
        ),
        (
            "bytes that are no UTF-8",
            raw::frame(0x81, b"42[\"\xff\"]"),
            BAD_TEXT,
        ),
        (
            "half a character",
            raw::frame(0x81, b"42[\"\xc3\"]"),
            BAD_TEXT,
        ),
        ("a surrogate", raw::frame(0x81, b"\xed\xa0\x80"), BAD_TEXT),
        ("an overlong slash", raw::frame(0x81, b"\xc0\xaf"), BAD_TEXT),
        (
            "a character beyond Unicode",
            raw::frame(0x81, b"\xf4\x90\x80\x80"),
            BAD_TEXT,
        ),
        (
            "bad text in fragments",
            two(raw::frame(0x01, b"4\xc3"), raw::frame(0x80, b"\x28")),
            BAD_TEXT,
        ),
        (
            "a claim of 2^63 bytes",
            raw::claim(0x81, 1 << 63),
            &[1002, 1009],
        ),
        ("a claim of 2^62 bytes", raw::claim(0x81, 1 << 62), TOO_BIG),
        (
            "a claim of one byte too many",
            raw::claim(0x81, 1_000_001),
            TOO_BIG,
        ),
        (
            "a binary claim of 4 GiB",
            raw::claim(0x82, 1 << 32),
            TOO_BIG,
        ),
    ];
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push((
            "a reserved opcode",
            raw::frame(0x80 | opcode, b"x"),
            PROTOCOL_ERROR,
        ));
    }
    for code in [
        0u16, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        let close = raw::frame(0x88, &code.to_be_bytes());
        cases.push(("a close code that may not be sent", close, PROTOCOL_ERROR));
    }
    cases
}

fn two(mut first: Vec<u8>, second: Vec<u8>) -> Vec<u8> {
    first.extend(second);
    first
}

async fn start() -> (Redis, Server, Client) {
    let redis = Redis::start().await;
    let server = Launch::new(&redis).start().await;
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("witness").await;
    (redis, server, witness)
}

#[tokio::test]
async fn a_forbidden_frame_ends_the_connection_with_its_code() {
    let (redis, mut server, mut witness) = start().await;
    for (n, (case, bytes, codes)) in forbidden().into_iter().enumerate() {
        let mut socket = Raw::socket(server.address()).await;
        socket.send(&bytes).await;
        let frames = socket.frames().await;
        let code = frames.last().and_then(Frame::close_code);
        let code = code.unwrap_or_else(|| panic!("{case} {n}: no close code: {frames:?}"));
        assert!(codes.contains(&code), "{case} {n}: closed with {code}");
        assert!(server.is_alive(), "the server died of {case}");
        redis.publish("witness", &n.to_string()).await;
        assert_eq!(witness.message("witness").await, n.to_string(), "{case}");
    }
}

#[tokio::test]
async fn close_is_answered_with_the_same_code() {
    let (_redis, server, _witness) = start().await;
    for code in [1000u16, 1001, 1003, 1007, 1011, 3000, 3999, 4000, 4999] {
        let mut socket = Raw::socket(server.address()).await;
        socket.send(&raw::frame(0x88, &code.to_be_bytes())).await;
        let frames = socket.frames().await;
        assert_eq!(
            frames.last().and_then(Frame::close_code),
            Some(code),
            "{frames:?}"
        );
    }
    let mut socket = Raw::socket(server.address()).await;
    socket.send(&raw::frame(0x88, b"")).await;
    let frames = socket.frames().await;
    assert_eq!(
        frames.last().map(|frame| frame.first),
        Some(0x88),
        "{frames:?}"
    );
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let (_redis, server, _witness) = start().await;
    let mut socket = Raw::socket(server.address()).await;
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        socket.send(&raw::frame(0x89, payload)).await;
        let pong = socket.frame().await.expect("a pong");
        assert_eq!(
            pong,
            Frame {
                first: 0x8a,
                payload: payload.to_vec()
            }
        );
    }
    // A pong that nobody asked for is nothing.
    socket.send(&raw::frame(0x8a, b"unasked")).await;
    socket.send(&raw::frame(0x89, b"still there")).await;
    assert_eq!(
        socket.frame().await.expect("a pong").payload,
        b"still there"
    );
}

#[tokio::test]
async fn fragments_are_one_message_whatever_comes_between() {
    let (redis, server, _witness) = start().await;
    let mut socket = Raw::socket(server.address()).await;
    let packet = r#"420["subscribe",{"channel":"žluť 😀"}]"#;
    let bytes = packet.as_bytes();
    for (n, byte) in bytes.iter().enumerate() {
        let opcode = if n == 0 { 0x01 } else { 0x00 };
        let fin = if n + 1 == bytes.len() { 0x80 } else { 0x00 };
        socket.send(&raw::frame(fin | opcode, &[*byte])).await;
        if n % 10 == 5 {
            socket.send(&raw::frame(0x89, b"between")).await;
            assert_eq!(socket.frame().await.expect("a pong").first, 0x8a);
        }
    }
    let ack = socket.frame().await.expect("an acknowledgement");
    assert!(ack.payload.starts_with(b"430["), "{ack:?}");
    redis.publish("žluť 😀", "1").await;
    let message = socket.frame().await.expect("a message");
    assert_eq!(message.payload, r#"42["žluť 😀",1]"#.as_bytes());
}

#[tokio::test]
async fn frames_arrive_in_any_pieces() {
    let (redis, server, _witness) = start().await;
    let mut socket = Raw::socket(server.address()).await;
    let mut bytes = raw::text(r#"420["subscribe",{"channel":"a"}]"#);
    bytes.extend(raw::text(&format!(r#"42["none","{}"]"#, "x".repeat(200))));
    bytes.extend(raw::text(r#"421["subscribe",{"channel":"b"}]"#));
    for byte in bytes {
        socket.send(&[byte]).await;
    }
    for head in ["430[", "431["] {
        let ack = socket.frame().await.expect("an acknowledgement");
        assert!(ack.payload.starts_with(head.as_bytes()), "{ack:?}");
    }
    redis.publish("b", "1").await;
    assert_eq!(
        socket.frame().await.expect("a message").payload,
        br#"42["b",1]"#
    );
}

#[tokio::test]
async fn frames_in_the_same_segment_as_the_upgrade_are_read() {
    let (_redis, server, _witness) = start().await;
    let mut socket = Raw::connect(server.address()).await;
    let mut bytes = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n\
        Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    bytes.extend(raw::text("40"));
    bytes.extend(raw::text(r#"420["subscribe",{"channel":"a"}]"#));
    socket.send(&bytes).await;
    assert!(socket.head().await.starts_with("HTTP/1.1 101"));
    for head in ["0{", "40{", "430["] {
        let frame = socket.frame().await.expect("a packet");
        assert!(
            frame.payload.starts_with(head.as_bytes()),
            "{head}, not {frame:?}"
        );
    }
}

#[tokio::test]
async fn frames_of_every_length_form_are_written_as_the_standard_asks() {
    let (redis, server, _witness) = start().await;
    let mut socket = Raw::socket(server.address()).await;
    socket
        .send(&raw::text(r#"420["subscribe",{"channel":"a"}]"#))
        .await;
    socket.frame().await.expect("an acknowledgement");
    // The packet has nine bytes more than the text in the envelope.
    for length in [
        1, 115, 116, 117, 118, 65_525, 65_526, 65_527, 65_528, 500_000,
    ] {
        let envelope = format!("\"{}\"", "x".repeat(length));
        redis.publish("a", &envelope).await;
        let frame = socket.frame().await.expect("a message");
        assert_eq!(frame.first, 0x81);
        assert!(
            frame.payload == format!(r#"42["a",{envelope}]"#).as_bytes(),
            "{length}"
        );
    }
}

#[tokio::test]
async fn an_empty_text_message_is_no_packet() {
    let (_redis, server, _witness) = start().await;
    let mut socket = Raw::socket(server.address()).await;
    socket.send(&raw::text("")).await;
    let frames = socket.frames().await;
    assert!(frames.iter().all(|frame| frame.first == 0x88), "{frames:?}");
}
