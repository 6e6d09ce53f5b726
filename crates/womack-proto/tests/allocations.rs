//! What the delivery path may allocate, and how little a client can make the server allocate.

use std::{hint::black_box, time::Instant};

use allocation_counter::measure;
use womack_proto::{
    Layer, NamespaceId, Revision, Rules, Scratch, Session, envelope, frame,
    payload::{self, Format},
    publishers::{addressed, emitter, python},
};

const MESSAGE: &[u8] = br#"{"data":{"text":"h\u00e9llo \ud83d\ude00","n":[1,2.5,true,null]}}"#;

#[test]
fn framing_an_event_allocates_once() {
    let prefix = frame::event_prefix("/", "hello");
    for json in [MESSAGE, &[b'1'; 200], &[b'1'; 100_000]] {
        let info = measure(|| drop(black_box(frame::event(&prefix, json))));
        let frame = frame::event(&prefix, json);
        assert_eq!(info.count_total, 1);
        assert_eq!(
            info.bytes_total,
            frame.as_bytes().len() as u64,
            "not a byte too many"
        );
    }
}

#[test]
fn checking_a_message_allocates_nothing_in_the_long_run() {
    let mut scratch = Scratch::default();
    let long = [b"[", &b"[1,\"a\"],".repeat(1_000)[..], b"1]"].concat();
    let messages = [MESSAGE, &long, b"not JSON", br#"{"except":[]}"#];
    let check = |scratch: &mut Scratch| {
        for message in messages {
            black_box(envelope::check(message, scratch).is_ok());
        }
    };
    check(&mut scratch);
    // What is no JSON asks serde_json, which makes an error.
    let errors = measure(|| drop(serde_json::from_slice::<serde::de::IgnoredAny>(b"not JSON")));
    let info = measure(|| check(&mut scratch));
    assert_eq!(info.count_total, errors.count_total);
}

#[test]
fn answering_a_poll_allocates_nothing_with_a_buffer_of_its_size() {
    let frames = [
        frame::PING.as_bytes(),
        frame::Frame::binary(Revision::V4, &[7; 100]).as_bytes(),
    ]
    .concat();
    let mut body = Vec::with_capacity(256);
    let info = measure(|| {
        payload::encode(Format::Separated, [&*frames], 16, &mut body);
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_silent_client_allocates_nothing() {
    let rules = Rules::default();
    let now = start();
    let mut out = Vec::with_capacity(8);
    let info = measure(|| {
        let mut session = Session::open(Revision::V4, Layer::SocketIo, &rules, now);
        session.handle_text(now, "40", &rules, &mut out);
        out.clear();
        session.handle_timeout(now + rules.timing.ping_interval, &rules, &mut out);
        session.handle_text(now, "3", &rules, &mut out);
        black_box(session.deadline());
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn no_packet_allocates_more_than_its_share() {
    let rules = Rules::default();
    let now = start();
    let long = 100_000;
    for text in [
        "4510-[\"m\"]".to_owned(),
        "4599999999999999-[\"m\"]".to_owned(),
        format!("42[\"{}\"]", "a".repeat(long)),
        format!("42[\"{}\"]", "\\u0061".repeat(long)),
        format!("42[\"m\",{}", "[".repeat(long)),
        format!("42[\"m\",{}1{}]", "[".repeat(long), "]".repeat(long)),
        format!("42[\"m\"{}]", ",1".repeat(long)),
        format!("40/{}", "a".repeat(long)),
        format!("40{{{}", "\"a\":{".repeat(long)),
        format!("43{}[]", "9".repeat(long)),
    ] {
        let mut out = Vec::new();
        let mut session = Session::open(Revision::V4, Layer::SocketIo, &rules, now);
        session.handle_text(now, "40", &rules, &mut out);
        session.accept(NamespaceId(0), "sid", &rules, &mut out);
        let info = measure(|| session.handle_text(now, &text, &rules, &mut out));
        let share = 4 * text.len() as u64 + 1_024;
        assert!(info.bytes_total <= share, "{info:?} for {:.20}", text);
    }
}

#[test]
fn no_body_allocates_more_than_its_share() {
    let long = 100_000;
    let max_packets = 1_000;
    for body in [
        "1:2".repeat(long),
        "1:2".repeat(max_packets),
        format!("99999999:{}", "4".repeat(long)),
        format!("{long}:{}", "\u{e9}".repeat(long)),
        format!("{}:{}", 2 * long, "\u{c3}\u{a9}".repeat(long)),
        format!("\0\u{1}\u{1}{}", "\u{1}".repeat(long)),
        format!("d={}", "\\n".repeat(long)),
        format!("d={}", "%31%3a%32".repeat(max_packets)),
    ] {
        for jsonp in [None, Some(0)] {
            let format = Format::Counted {
                base64: false,
                json: true,
                jsonp,
            };
            let info = measure(|| {
                drop(black_box(payload::decode(
                    format,
                    body.as_bytes(),
                    max_packets,
                )))
            });
            let share = 8 * body.len() as u64 + 100 * max_packets as u64;
            assert!(info.bytes_total <= share, "{info:?} for {body:.20}");
        }
    }
}

#[test]
fn no_publisher_makes_the_server_allocate_more_than_its_share() {
    let head = b"\x93\xc0\x82\xa4type\x02\xa4data";
    let array = |items: &[u8]| [head, &b"\xdd\xff\xff\xff\xff\xa1e"[..], items].concat();
    for message in [
        array(b""),
        array(&[0xc0; 100_000]),
        array(&[0xdd, 0xff, 0xff, 0xff, 0xff].repeat(10_000)),
        array(&[0xa1, 1].repeat(50_000)),
        array(&[0x81, 0xa0, 0x81].repeat(50_000)),
        array(&[0xc4, 0].repeat(50_000)),
        [
            &head[..],
            b"\x91\xa1e\x81\xa5rooms\xdd\xff\xff\xff\xff",
            &[0xa0; 100_000],
        ]
        .concat(),
        format!("{{{}\"a\":1}}", "\"a\":1,".repeat(20_000)).into_bytes(),
        br#"{"method":"emit","event":"e","binary":true,"data":["#.repeat(1_000),
        format!(r#"{{"channels":[{}""]}}"#, "\"\",".repeat(20_000)).into_bytes(),
    ] {
        let info = measure(|| {
            drop(black_box(emitter::decode_broadcast(&message, "/")));
            drop(black_box(emitter::decode_request(&message, "/")));
            drop(black_box(python::decode(&message)));
            drop(black_box(addressed::decode(&message)));
        });
        // A list of names is strings of 24 bytes, in a vector that doubles.
        let share = 64 * message.len() as u64 + 1_024;
        assert!(
            info.bytes_total <= share,
            "{info:?} for {:.40}",
            message.escape_ascii()
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a start for time; only differences count"
)]
fn start() -> Instant {
    Instant::now()
}
