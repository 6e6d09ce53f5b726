//! The same for Socket.IO 0.9.

use serde_json::value::RawValue;
use womack_proto::{
    SessionError,
    legacy::{self, Body, Packet},
    legacy_handshake::{self, Request, Transport},
    payload::{self, Content, Format},
};

/// Whatever decodes is the same after encoding and decoding it again.
pub(crate) fn packets(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(packet) = Packet::decode(text) else {
        return;
    };
    assert!(!packet.namespace.contains(['?', ':']), "{packet:?}");
    let namespace = packet.namespace;
    let encoded = match &packet.body {
        Body::Event { name, args } => {
            super::assert_json_list(args);
            legacy::encode_event(namespace, packet.ack, name, args)
        }
        Body::Ack { id, args } => {
            super::assert_json_list(args);
            legacy::encode_ack(namespace, *id, args)
        }
        Body::Connect => legacy::encode_connect(namespace),
        Body::Disconnect => legacy::encode_disconnect(namespace),
        Body::Json(json) => {
            assert!(serde_json::from_str::<&RawValue>(json).is_ok(), "{json}");
            return;
        }
        Body::Heartbeat | Body::Message(_) | Body::Error(_) | Body::Noop => return,
    };
    let again = Packet::decode(&encoded).expect("what is encoded decodes");
    assert_eq!(again.namespace, namespace, "{encoded}");
    assert_eq!(again.body, packet.body, "{encoded}");
    if matches!(packet.body, Body::Event { .. }) {
        assert_eq!(again.ack, packet.ack, "{encoded}");
    }
}

/// What a polling body decodes to is the same after encoding and decoding it again.
pub(crate) fn polling(data: &[u8]) {
    // Whatever it holds, there is an outcome.
    drop(legacy_handshake::form_payload(data));
    let max_packets = data.len() + 1;
    let Ok(packets) = payload::decode(Format::Legacy, data, max_packets) else {
        let text = str::from_utf8(data).unwrap_or("\u{fffd}");
        assert!(
            text.is_empty() || text.starts_with('\u{fffd}'),
            "refused without a reason"
        );
        return;
    };
    // A packet begins with its type; one that began with the mark would not be told from it.
    if matches!(&packets[..], [payload::Packet::Text(text)] if text.starts_with('\u{fffd}')) {
        return;
    }
    let (content, again) = super::body(Format::Legacy, &packets);
    assert_eq!(content, Content::Text);
    let decoded = payload::decode(Format::Legacy, &again, max_packets);
    assert_eq!(decoded, Ok(packets));
}

/// A path and a query, apart by a question mark, are refused or name a session; and no script
/// that answers them ends early.
pub(crate) fn requests(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    let index = match Request::parse(path, query) {
        Ok(Request::Handshake { jsonp }) => jsonp,
        Ok(Request::Disconnect { sid }) => {
            assert!(!sid.is_empty() && !sid.contains('/'), "{sid}");
            None
        }
        Ok(Request::Transport { sid, transport }) => {
            assert!(!sid.is_empty() && !sid.contains('/'), "{sid}");
            match transport {
                Transport::JsonpPolling(index) => Some(index),
                Transport::WebSocket | Transport::XhrPolling => None,
            }
        }
        Err(error) => {
            assert!(matches!(
                error,
                SessionError::UnknownTransport | SessionError::BadRequest
            ));
            None
        }
    };
    let script = index.unwrap_or_default().script(&text);
    let (head, json) = script.split_once('(').expect("a call");
    let digits = head
        .strip_prefix("io.j[")
        .and_then(|head| head.strip_suffix(']'));
    assert!(digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())));
    let json = json.strip_suffix(");").expect("the call's end");
    assert!(
        !json.contains("</") && !json.contains(['\n', '\r', '\u{2028}', '\u{2029}']),
        "{json}"
    );
    let value: String = serde_json::from_str(json).expect("a JSON string");
    assert_eq!(value, text);
}
