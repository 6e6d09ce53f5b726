//! What must hold for any bytes whatever. The fuzz targets, the replay of their corpus and the
//! property tests all run these.

pub(crate) mod legacy;
pub(crate) mod plain;
pub(crate) mod publishers;
pub(crate) mod relay;

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::value::RawValue;
use womack_proto::{
    EnvelopeError, Frame, Handshake, Layer, Limits, NamespaceId, Namespaces, Output, Revision,
    Rules, Scratch, Session, SessionError, Timing, engine_io, envelope, frame,
    freshness::Freshness,
    payload::{self, Content, Format},
    socket_io::{self, Body},
};

/// Whatever decodes is the same after encoding and decoding it again.
pub(crate) fn packets(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    // No outcome is wrong here, as long as there is one.
    drop((
        engine_io::Packet::decode(text),
        engine_io::decode_base64(Revision::V3, text),
        engine_io::decode_base64(Revision::V4, text),
    ));
    let Ok(packet) = socket_io::Packet::decode(text) else {
        return;
    };
    let namespace = packet.namespace;
    let encoded = match &packet.body {
        Body::Event {
            ack,
            name,
            args,
            attachments,
        } => {
            assert_json_list(args);
            if !text.contains(&format!("\"{name}\"")) {
                // The name is a number or was escaped; it would be encoded in another way.
                return;
            }
            socket_io::encode_event(namespace, *ack, name, args, *attachments)
        }
        Body::Ack {
            id,
            args,
            attachments,
        } => {
            assert_json_list(args);
            socket_io::encode_ack(namespace, *id, args, *attachments)
        }
        Body::Disconnect => socket_io::encode_disconnect(namespace),
        Body::Connect { payload: None } => return,
        Body::Connect {
            payload: Some(payload),
        }
        | Body::ConnectError { payload } => {
            assert!(
                serde_json::from_str::<&RawValue>(payload).is_ok(),
                "{payload}"
            );
            return;
        }
    };
    assert_eq!(socket_io::Packet::decode(&encoded), Ok(packet), "{encoded}");
}

/// What a polling body of Engine.IO 4 decodes to makes the same body again.
pub(crate) fn polling(data: &[u8]) {
    let max_packets = data.len() / 2 + 1;
    let Ok(packets) = payload::decode(Format::Separated, data, max_packets) else {
        let hole = data.split(|&byte| byte == 0x1e).any(<[u8]>::is_empty);
        assert!(
            hole || str::from_utf8(data).is_err(),
            "refused without a reason"
        );
        return;
    };
    let (content, again) = body(Format::Separated, &packets);
    assert_eq!((content, &*again), (Content::Text, data));
}

/// What a polling body of Engine.IO 3 decodes to is the same after encoding and decoding it again.
/// What stands in a form is the same as what does not.
pub(crate) fn counted(data: &[u8]) {
    let format = |json, jsonp| Format::Counted {
        base64: false,
        json,
        jsonp,
    };
    let max_packets = data.len() / 2 + 1;
    let Ok(packets) = payload::decode(format(false, None), data, max_packets) else {
        assert!(payload::decode(format(true, None), data, max_packets).is_err());
        return;
    };
    let (content, again) = body(format(false, None), &packets);
    assert_eq!(content == Content::Bytes, packets.iter().any(is_binary));
    let decoded = payload::decode(format(false, None), &again, max_packets);
    assert_eq!(decoded, Ok(packets.clone()));

    let (content, script) = body(format(true, Some(7)), &packets);
    assert_eq!(content, Content::Script);
    let script = String::from_utf8(script).expect("scripts are text");
    let literal = script
        .strip_prefix("___eio[7](")
        .and_then(|rest| rest.strip_suffix(");"))
        .expect("a call and nothing beside it");
    assert!(!literal.contains("</") && !literal.contains(['\u{2028}', '\u{2029}', '\n']));
    let inside: String = serde_json::from_str(literal).expect("a string");
    let base64 = Format::Counted {
        base64: true,
        json: true,
        jsonp: None,
    };
    assert_eq!(inside.into_bytes(), body(base64, &packets).1);

    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let escaped = text.replace("\\n", "\\\\n");
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("d", &escaped)
        .finish();
    let in_form = payload::decode(format(false, Some(0)), form.as_bytes(), max_packets);
    assert_eq!(in_form, Ok(packets));
}

const fn is_binary(packet: &payload::Packet<'_>) -> bool {
    matches!(packet, payload::Packet::Binary(_))
}

/// The body that has these packets, as a client of its revision would have to read it.
fn body(format: Format, packets: &[payload::Packet<'_>]) -> (Content, Vec<u8>) {
    let mut frames = Vec::new();
    for packet in packets {
        match packet {
            payload::Packet::Text(text) => frame::append_text(&mut frames, &[text.as_bytes()]),
            // Bytes as they are: the type before the data is there already.
            payload::Packet::Binary(data) => {
                frames.extend_from_slice(Frame::binary(Revision::V4, data).as_bytes());
            }
        }
    }
    let mut out = Vec::new();
    let encoded = payload::encode(format, [&*frames], packets.len(), &mut out);
    assert_eq!(encoded.consumed, frames.len());
    (encoded.content, out)
}

/// A published message passes if and only if serde_json takes it for JSON.
pub(crate) fn envelopes(data: &[u8]) {
    // What is no object says nothing of itself.
    assert!(Freshness::of(data).is_empty() || data.trim_ascii_start().starts_with(b"{"));
    let mut scratch = Scratch::default();
    let checked = envelope::check(data, &mut scratch);
    let expected = match str::from_utf8(data) {
        Err(_) => Err(EnvelopeError::NotUtf8),
        Ok(text) => match serde_json::from_str::<&RawValue>(text) {
            Err(_) => Err(EnvelopeError::NotJson),
            Ok(_) => Ok(excepted(text)),
        },
    };
    let ids = |except: &envelope::Except| except.ids().map(str::to_owned).collect::<Vec<_>>();
    match (&checked, &expected) {
        (Ok(except), Ok(Some(expected))) => assert_eq!(&ids(except), expected),
        (Ok(_), Ok(None)) => {}
        (Err(error), Err(expected)) => assert_eq!(error, expected),
        _ => panic!("{checked:?} instead of {expected:?}"),
    }
    assert_eq!(
        envelope::check(data, &mut scratch),
        checked,
        "the memory remembers"
    );
}

/// Whom serde_json's own value excepts; `None` if it cannot tell.
fn excepted(text: &str) -> Option<Vec<String>> {
    use serde_json::Value;

    let value: Value = serde_json::from_str(text).ok()?;
    let string = |value: &Value| value.as_str().map(str::to_owned);
    Some(match value.get("except") {
        Some(Value::Array(ids)) => ids.iter().filter_map(string).collect(),
        Some(id) => string(id).into_iter().collect(),
        None => Vec::new(),
    })
}

/// Frames are found where they are, and found again when they come one by one.
pub(crate) fn frames(data: &[u8]) {
    let mut packets = frame::packets(data);
    let mut written = Vec::new();
    for (opcode, payload) in packets.by_ref() {
        let before = written.len();
        match opcode {
            frame::Opcode::Text => frame::append_text(&mut written, &[payload]),
            frame::Opcode::Binary => {
                written.extend_from_slice(Frame::binary(Revision::V4, payload).as_bytes());
            }
            frame::Opcode::Other => continue,
        }
        assert!(written.len() - before >= payload.len() + 2);
    }
    let consumed = packets.consumed();
    assert!(consumed <= data.len());
    assert_eq!(
        frame::packets(&data[consumed..]).next(),
        None,
        "the rest begins with a frame"
    );
    assert!(written.len() <= consumed);

    for format in [
        Format::Separated,
        Format::Counted {
            base64: false,
            json: true,
            jsonp: None,
        },
    ] {
        let mut body = Vec::new();
        let mut at = 0;
        loop {
            match payload::encode(format, [&data[at..]], 1, &mut body).consumed {
                0 => break,
                step => at += step,
            }
        }
        assert_eq!(at, consumed);
    }
}

/// A query says something or is refused for one of three reasons.
pub(crate) fn queries(data: &[u8]) {
    let Ok(query) = str::from_utf8(data) else {
        return;
    };
    match Handshake::parse(query) {
        Ok(handshake) => assert_ne!(handshake.sid.as_deref(), Some("")),
        Err(error) => assert!(matches!(
            error,
            SessionError::UnknownTransport
                | SessionError::UnsupportedVersion
                | SessionError::BadRequest
        )),
    }
}

/// No sequence of packets, time and commands brings a session to say what makes no sense.
///
/// Each step is a byte that chooses what happens, a byte of length, and that many bytes.
pub(crate) fn sessions(data: &[u8]) {
    let Some((&first, mut steps)) = data.split_first() else {
        return;
    };
    let rules = Rules {
        timing: Timing {
            ping_interval: Duration::from_millis(300),
            ping_timeout: Duration::from_millis(200),
            connect_timeout: Duration::from_millis(1000),
            message_timeout: Duration::from_millis(500),
            poll_duration: Duration::from_millis(250),
            close_timeout: Duration::from_millis(700),
        },
        limits: Limits {
            max_attachments: 3,
            max_attachment_bytes: 64,
            max_namespaces: 2,
        },
        namespaces: Namespaces::new(["/a", "/b"]),
    };
    let layer = if first & 1 == 0 {
        Layer::SocketIo
    } else {
        Layer::EngineIo
    };
    let revision = match first & 6 {
        0 => Revision::V4,
        2 => Revision::V3,
        _ => Revision::Legacy,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a start for time; only differences count"
    )]
    let mut now = Instant::now();
    let mut session = Session::open(revision, layer, &rules, now);
    let mut out = Vec::new();
    session.start(&rules, &mut out);
    look_at(&session, layer, &out, &rules);
    out.clear();
    while let Some((&[step, length], rest)) = steps.split_first_chunk() {
        let (content, rest) = rest.split_at(rest.len().min(length.into()));
        steps = rest;
        let text = String::from_utf8_lossy(content);
        let namespace = NamespaceId(u16::from(length % 4));
        let was_closed = session.is_closed();
        match step % 13 {
            0 | 1 => session.handle_text(now, &text, &rules, &mut out),
            2 => session.handle_polling_packet(now, &text, &rules, &mut out),
            3 => session.handle_binary(now, Bytes::copy_from_slice(content), &rules, &mut out),
            4 => {
                now += Duration::from_millis(10 * u64::from(length));
                session.handle_timeout(now, &rules, &mut out);
            }
            5 => {
                now = now.max(session.deadline());
                session.handle_timeout(now, &rules, &mut out);
                assert!(was_closed || !out.is_empty(), "a deadline must act at once");
            }
            6 => session.accept(namespace, &text, &rules, &mut out),
            7 => session.refuse(namespace, &text, None, &rules, &mut out),
            8 => session.leave(namespace, &rules, &mut out),
            10 => session.handle_websocket(now, &rules),
            11 => session.handle_poll(now, &rules),
            12 => session.handle_poll_answered(now, &rules),
            _ => session.emit(namespace, &text, "", &[], &rules, &mut out),
        }
        assert!(!was_closed || out.is_empty(), "something follows the end");
        look_at(&session, layer, &out, &rules);
        out.clear();
    }
}

fn look_at(session: &Session, layer: Layer, out: &[Output], rules: &Rules) {
    for (index, output) in out.iter().enumerate() {
        match output {
            Output::Closed(_) => {
                assert!(session.is_closed());
                assert_eq!(index, out.len() - 1, "something follows the end");
            }
            Output::Send(frame) => {
                assert_eq!(frame::packets(frame.as_bytes()).count(), 1, "{frame:?}");
            }
            Output::Connect { namespace, .. } => assert!(!session.is_joined(*namespace)),
            Output::Left(namespace) => assert!(!session.is_joined(*namespace)),
            Output::Event { namespace, event } => {
                assert!(session.is_joined(*namespace));
                assert_json_list(&event.args);
                let bytes: usize = event.attachments.iter().map(Bytes::len).sum();
                assert!(bytes <= rules.limits.max_attachment_bytes);
                assert!(event.attachments.len() <= rules.limits.max_attachments);
            }
            Output::Ack {
                namespace, args, ..
            } => {
                assert!(session.is_joined(*namespace));
                assert_json_list(args);
            }
            Output::Message(_) => assert_eq!(layer, Layer::EngineIo),
        }
    }
    assert!(session.joined().count() <= rules.limits.max_namespaces);
}

fn assert_json_list(args: &str) {
    assert_json(&format!("[{args}]"));
}

fn assert_json(text: &str) {
    assert!(serde_json::from_str::<&RawValue>(text).is_ok(), "{text}");
}
