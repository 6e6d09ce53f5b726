use super::*;
use crate::frame;

fn packet(body: Body<'_>) -> Packet<'_> {
    Packet {
        namespace: "/",
        query: "",
        ack: None,
        body,
    }
}

fn event<'a>(name: &'a str, args: &'a str) -> Body<'a> {
    Body::Event {
        name: name.into(),
        args,
    }
}

#[test]
fn every_type_of_packet_is_known() {
    for (text, body) in [
        ("0::", Body::Disconnect),
        ("1::", Body::Connect),
        ("2::", Body::Heartbeat),
        ("2:::", Body::Heartbeat),
        ("3:::", Body::Message("")),
        ("3:::hé:llo", Body::Message("hé:llo")),
        ("4:::{\"a\":\"b\"}", Body::Json("{\"a\":\"b\"}")),
        ("4::: 1 ", Body::Json("1")),
        ("5:::{\"name\":\"m\"}", event("m", "")),
        ("5:::{\"name\":\"m\",\"args\":null}", event("m", "")),
        ("5:::{\"name\":\"m\",\"args\":[]}", event("m", "")),
        (
            "5:::{\"name\":\"m\",\"args\":[ 1 ,\"]\"]}",
            event("m", "1 ,\"]\""),
        ),
        ("5::: {\"args\":[1],\"x\":[],\"name\":\"\"}", event("", "1")),
        ("5:::{\"name\":\"\\u0061:\\n\"}", event("a:\n", "")),
        ("6:::4", Body::Ack { id: 4, args: "" }),
        ("6:::4+", Body::Ack { id: 4, args: "" }),
        (
            "6:::4+[\"A\",1]",
            Body::Ack {
                id: 4,
                args: "\"A\",1",
            },
        ),
        ("7:::1+0", Body::Error("1+0")),
        ("8::", Body::Noop),
    ] {
        assert_eq!(Packet::decode(text), Ok(packet(body)), "{text}");
    }
}

#[test]
fn ids_ask_for_a_receipt_or_for_an_answer() {
    for (id, ack) in [
        ("", None),
        ("1", Some(Ack::Receipt(1))),
        ("007+", Some(Ack::Answer(7))),
        ("18446744073709551615+", Some(Ack::Answer(u64::MAX))),
    ] {
        let text = format!("3:{id}::a");
        let decoded = Packet::decode(&text).map(|packet| packet.ack);
        assert_eq!(decoded, Ok(ack), "{text}");
    }
}

#[test]
fn endpoints_may_have_a_query() {
    for (text, namespace, query) in [
        ("1::", "/", ""),
        ("1::/", "/", ""),
        ("1::/another", "/another", ""),
        ("1::/another?token=1&a=?", "/another", "token=1&a=?"),
        ("1::?token=1", "/", "token=1"),
        ("1::/another:?token=1", "/another", ""),
    ] {
        let decoded = Packet::decode(text).unwrap();
        assert_eq!(
            (decoded.namespace, decoded.query),
            (namespace, query),
            "{text}"
        );
    }
}

#[test]
fn other_text_is_no_packet() {
    use DecodeError::{AckId, EmptyPacket, LegacyFields, Payload, ReservedEvent, SocketIoType};
    for (text, error) in [
        ("", EmptyPacket),
        ("5", LegacyFields),
        ("1:", LegacyFields),
        ("42[\"subscribe\"]", LegacyFields),
        ("::", SocketIoType),
        ("9::", SocketIoType),
        ("01::", SocketIoType),
        ("é::", SocketIoType),
        ("3:+::a", AckId),
        ("3:-1::a", AckId),
        ("3:+1::a", AckId),
        ("3:1++::a", AckId),
        ("3:18446744073709551616::a", AckId),
        ("4:::", Payload),
        ("4:::{", Payload),
        ("5::", Payload),
        ("5:::[\"m\",[1]]", Payload),
        ("5:::{\"args\":[]}", Payload),
        ("5:::{\"name\":1}", Payload),
        ("5:::{\"name\":\"\\ud83d\"}", Payload),
        ("5:::{\"name\":\"m\",\"args\":{}}", Payload),
        ("5:::{\"name\":\"m\",\"args\":\"[]\"}", Payload),
        ("5:::{\"name\":\"m\"}x", Payload),
        ("5:::{\"name\":\"disconnect\"}", ReservedEvent),
        ("6:::", AckId),
        ("6:::x", AckId),
        ("6:::+[]", AckId),
        ("6:::1+{}", Payload),
        ("6:::1+[", Payload),
    ] {
        assert_eq!(Packet::decode(text), Err(error), "{text}");
    }
}

#[test]
fn packets_are_written_as_the_original_writes_them() {
    for (packet, expected) in [
        (encode_connect("/"), "1::"),
        (encode_connect("/another"), "1::/another"),
        (encode_disconnect("/"), "0::"),
        (encode_disconnect("/another"), "0::/another"),
        (encode_error("/"), "7:::2"),
        (encode_error("/random"), "7::/random:2"),
        (
            encode_event("/", None, "a\"", "1,2"),
            "5:::{\"name\":\"a\\\"\",\"args\":[1,2]}",
        ),
        (
            encode_event("/another", Some(Ack::Answer(7)), "m", ""),
            "5:7+:/another:{\"name\":\"m\",\"args\":[]}",
        ),
        (encode_ack("/", 1, ""), "6:::1"),
        (encode_ack("/another", 1, "{},2"), "6::/another:1+[{},2]"),
    ] {
        assert_eq!(packet, expected);
    }
}

#[test]
fn a_published_event_is_prefix_json_and_brackets() {
    let published = super::event(&event_prefix("/", "hello"), br#"{"data":1}"#);
    let packet = br#"5:::{"name":"hello","args":[{"data":1}]}"#;
    assert_eq!(published, Frame::text(&[packet]));
    let prefix = event_prefix("/another", "\"\\\n\u{1f}/é😀\u{7f}");
    let expected = "5::/another:{\"name\":\"\\\"\\\\\\n\\u001f/é😀\u{7f}\",\"args\":[";
    assert_eq!(prefix, expected.as_bytes());
}

#[test]
fn a_messages_prefix_is_what_the_decoder_takes_off() {
    for namespace in ["/", "/another"] {
        let mut packet = String::from_utf8(message_prefix(namespace)).unwrap();
        packet.push_str("a:b");
        let decoded = Packet::decode(&packet).unwrap();
        assert_eq!(
            (decoded.namespace, decoded.ack, decoded.body),
            (namespace, None, Body::Message("a:b"))
        );
    }
}

#[test]
fn ready_made_frames_are_what_the_encoder_makes() {
    assert_eq!(HEARTBEAT, Frame::text(&[b"2::"]));
    assert_eq!(NOOP, Frame::text(&[b"8::"]));
    assert_eq!(frame::packets(NOOP.as_bytes()).count(), 1);
}
