//! What holds for every packet, body and request of Socket.IO 0.9, on inputs made up at random,
//! and how little a client can make the server allocate.

use std::hint::black_box;

use allocation_counter::measure;
use proptest::{collection::vec, prelude::*};
use womack_proto::{
    DecodeError, Frame, frame,
    legacy::{self, Ack, Body, Packet},
    legacy_handshake::{self, Request},
    payload::{self, Format},
};

fn quoted(text: String) -> String {
    serde_json::to_string(&text).expect("every string is JSON")
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?[1-9][0-9]{0,20}",
        any::<String>().prop_map(quoted),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        vec(inner, 0..4).prop_map(|values| format!("[ {}]", values.join(" ,")))
    })
}

/// Arguments as they stand between the brackets, without space at the ends.
fn arguments() -> impl Strategy<Value = String> {
    vec(json(), 0..4).prop_map(|values| values.join(","))
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[^:?]{1,8}"]
}

fn ack() -> impl Strategy<Value = Option<Ack>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|id| Some(Ack::Receipt(id))),
        any::<u64>().prop_map(|id| Some(Ack::Answer(id))),
    ]
}

fn packet<'a>(namespace: &'a str, ack: Option<Ack>, body: Body<'a>) -> Packet<'a> {
    Packet {
        namespace,
        query: "",
        ack,
        body,
    }
}

/// A body of `packets`, made out of runs of frames that are cut at `cuts`.
fn body(packets: &[String], cuts: &[prop::sample::Index]) -> Vec<u8> {
    let frames: Vec<_> = packets
        .iter()
        .map(|packet| Frame::text(&[packet.as_bytes()]).into_bytes())
        .collect();
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(frames.len() + 1)).collect();
    ends.extend([0, frames.len()]);
    ends.sort_unstable();
    let runs: Vec<_> = ends
        .windows(2)
        .map(|ends| frames[ends[0]..ends[1]].concat())
        .collect();
    let mut body = Vec::new();
    let runs_of_bytes = runs.iter().map(|run| &run[..]);
    let encoded = payload::encode(Format::Legacy, runs_of_bytes, packets.len(), &mut body);
    assert_eq!(encoded.consumed, runs.concat().len());
    body
}

fn decoded(body: &[u8], max_packets: usize) -> Result<Vec<String>, DecodeError> {
    let packets = payload::decode(Format::Legacy, body, max_packets)?;
    let text = |packet| match packet {
        payload::Packet::Text(text) => text.into_owned(),
        payload::Packet::Binary(_) => panic!("a binary packet"),
    };
    Ok(packets.into_iter().map(text).collect())
}

proptest! {
    #[test]
    fn an_event_decodes_to_what_was_encoded(
        namespace in namespace(),
        ack in ack(),
        name in any::<String>(),
        args in arguments(),
    ) {
        prop_assume!(!womack_proto::is_reserved_event(&name));
        let text = legacy::encode_event(&namespace, ack, &name, &args);
        let body = Body::Event { name: (&name).into(), args: &args };
        prop_assert_eq!(Packet::decode(&text), Ok(packet(&namespace, ack, body)));
    }

    #[test]
    fn an_acknowledgement_decodes_to_what_was_encoded(
        namespace in namespace(),
        id in any::<u64>(),
        args in arguments(),
    ) {
        let text = legacy::encode_ack(&namespace, id, &args);
        let body = Body::Ack { id, args: &args };
        prop_assert_eq!(Packet::decode(&text), Ok(packet(&namespace, None, body)));
    }

    #[test]
    fn a_published_event_is_an_event_to_the_client(
        namespace in namespace(),
        channel in any::<String>(),
        json in json(),
    ) {
        prop_assume!(!womack_proto::is_reserved_event(&channel));
        let prefix = legacy::event_prefix(&namespace, &channel);
        let frame = legacy::event(&prefix, json.as_bytes());
        let (opcode, text) = frame::packets(frame.as_bytes()).next().unwrap();
        prop_assert_eq!(opcode, frame::Opcode::Text);
        let text = str::from_utf8(text).unwrap();
        let body = Body::Event { name: channel.into(), args: &json };
        prop_assert_eq!(Packet::decode(text), Ok(packet(&namespace, None, body)));
    }

    #[test]
    fn packets_survive_polling_wherever_their_frames_are_cut(
        packets in vec("[0-8]::[^\u{fffd}]?.{0,12}", 1..6),
        cuts in vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let body = body(&packets, &cuts);
        prop_assert_eq!(decoded(&body, packets.len()), Ok(packets));
    }

    #[test]
    fn a_body_that_ends_too_early_is_refused(
        packets in vec("[0-8]::.{0,12}", 2..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let body = body(&packets, &[]);
        // What is left of it is not mistaken for other packets.
        if let Ok(decoded) = decoded(&body[..cut.index(body.len())], packets.len()) {
            prop_assert_eq!(&decoded[..], &packets[..decoded.len()]);
        }
    }

    #[test]
    fn forms_hold_any_payload(payload in any::<String>()) {
        let json = quoted(payload.clone());
        let form = form_urlencoded(&json);
        prop_assert_eq!(legacy_handshake::form_payload(form.as_bytes()), Ok(payload));
    }
}

/// Every byte as an escape.
fn form_urlencoded(text: &str) -> String {
    let escaped = text.bytes().map(|byte| format!("%{byte:02X}"));
    format!("d={}", escaped.collect::<String>())
}

#[test]
fn framing_an_event_allocates_once() {
    let prefix = legacy::event_prefix("/", "hello");
    for json in [&b"{}"[..], &[b'1'; 200], &[b'1'; 100_000]] {
        let info = measure(|| drop(black_box(legacy::event(&prefix, json))));
        let frame = legacy::event(&prefix, json);
        assert_eq!(info.count_total, 1);
        assert_eq!(info.bytes_total, frame.as_bytes().len() as u64);
    }
}

#[test]
fn no_packet_allocates_more_than_its_share() {
    let long = 100_000;
    for text in [
        "2::".to_owned(),
        format!("3:::{}", "a".repeat(long)),
        format!("1::/{}", "a".repeat(long)),
        format!("3:{}::", "9".repeat(long)),
        format!("4:::{}", "[".repeat(long)),
        format!("4:::{}{}", "[".repeat(long), "]".repeat(long)),
        format!("5:::{{\"name\":\"{}\"}}", "a".repeat(long)),
        format!("5:::{{\"name\":\"{}\"}}", "\\u0061".repeat(long)),
        format!("5:::{{\"name\":\"m\",\"args\":[{}", "[".repeat(long)),
        format!("5:::{{\"name\":\"m\",\"args\":[1{}]}}", ",1".repeat(long)),
        format!("6:::1+[{}1]", "1,".repeat(long)),
    ] {
        let info = measure(|| drop(black_box(Packet::decode(&text))));
        let share = 4 * text.len() as u64 + 1_024;
        assert!(info.bytes_total <= share, "{info:?} for {text:.20}");
    }
}

#[test]
fn no_body_allocates_more_than_its_share() {
    for body in [
        "2::".to_owned(),
        "\u{fffd}3\u{fffd}2::".repeat(1_000),
        "\u{fffd}1\u{fffd}2".repeat(1_000),
        format!("\u{fffd}{}\u{fffd}2::", "9".repeat(100_000)),
        format!("\u{fffd}{}\u{fffd}2::", u64::MAX),
        "\u{fffd}".repeat(100_000),
    ] {
        let info = measure(|| {
            drop(black_box(payload::decode(
                Format::Legacy,
                body.as_bytes(),
                2_000,
            )));
        });
        let share = 16 * body.len() as u64 + 1_024;
        assert!(info.bytes_total <= share, "{info:?} for {body:.20}");
    }
}

#[test]
fn no_form_and_no_request_allocates_more_than_its_share() {
    let long = 100_000;
    for text in [
        format!("d=%22{}%22", "%61".repeat(long)),
        format!("d=%22{}%22", "%5Cu0061".repeat(long)),
        format!("d={}", "%5B".repeat(long)),
        format!("d=%22%22{}", "&d=%22%22".repeat(long)),
        format!("jsonp={}", "0".repeat(long)),
    ] {
        let share = 4 * text.len() as u64 + 1_024;
        let form = measure(|| drop(black_box(legacy_handshake::form_payload(text.as_bytes()))));
        assert!(form.bytes_total <= share, "{form:?} for {text:.20}");
        let request = measure(|| {
            black_box(Request::parse("/", &text).is_ok());
        });
        assert!(request.bytes_total <= share, "{request:?} for {text:.20}");
    }
}
