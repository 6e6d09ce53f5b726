//! What holds for every packet, body and message, on inputs made up at random.

#[expect(dead_code, reason = "other tests run the other checks")]
mod checks;

use proptest::{collection::vec, prelude::*};
use womack_proto::{
    Frame, Revision, Scratch, engine_io, envelope, frame,
    payload::{self, Format},
    socket_io::{self, Body, Packet},
};

/// JSON values, nested a little, as text with space here and there.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?",
        any::<String>().prop_map(quoted),
        "\"(\\\\u[0-9a-f]{4}|\\\\[nrt/\"]|[a-z]){0,6}\"",
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let array = vec(inner.clone(), 0..4).prop_map(|values| format!("[ {}]", values.join(" ,")));
        let key = prop_oneof![
            any::<String>().prop_map(quoted),
            Just("\"except\"".to_owned()),
            Just("\"\\u0065xcept\"".to_owned()),
        ];
        let member = (key, inner).prop_map(|(key, value)| format!("{key}:\t{value}"));
        let object = vec(member, 0..4).prop_map(|members| format!("{{{}\n}}", members.join(",")));
        prop_oneof![array, object]
    })
}

fn quoted(text: String) -> String {
    serde_json::to_string(&text).expect("every string is JSON")
}

/// Text that is JSON, or nearly: bits of it in any order.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let bits = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\"except\"",
        "\"a\"",
        "0",
        "1",
        "-",
        ".",
        "e",
        "E9",
        "\\",
        "\\u",
        "d83d",
        "\\ude00",
        "true",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\u{0}",
        "\u{7f}",
        "é",
        "\u{feff}",
        "/",
        "1e999",
        "0x1",
    ]);
    let mixed = vec(bits, 0..24).prop_map(|bits| bits.concat().into_bytes());
    let damaged =
        (json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(json, at, byte)| {
            let mut json = json.into_bytes();
            let at = at.index(json.len());
            json[at] = byte;
            json
        });
    prop_oneof![mixed, damaged, vec(any::<u8>(), 0..64)]
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[^,]{1,8}"]
}

/// Arguments as they stand between the brackets, without space at the ends.
fn arguments() -> impl Strategy<Value = String> {
    vec(json(), 0..4).prop_map(|values| values.join(","))
}

proptest! {
    #[test]
    fn an_event_decodes_to_what_was_encoded(
        namespace in namespace(),
        ack in any::<Option<u64>>(),
        name in any::<String>(),
        args in arguments(),
        attachments in 0_usize..100,
    ) {
        prop_assume!(!womack_proto::is_reserved_event(&name));
        let text = socket_io::encode_event(&namespace, ack, &name, &args, attachments);
        let body = Body::Event { ack, name: (&name).into(), args: &args, attachments };
        prop_assert_eq!(Packet::decode(&text), Ok(Packet { namespace: &namespace, body }));
    }

    #[test]
    fn an_acknowledgement_decodes_to_what_was_encoded(
        namespace in namespace(),
        id in any::<u64>(),
        args in arguments(),
        attachments in 0_usize..100,
    ) {
        let text = socket_io::encode_ack(&namespace, id, &args, attachments);
        let body = Body::Ack { id, args: &args, attachments };
        prop_assert_eq!(Packet::decode(&text), Ok(Packet { namespace: &namespace, body }));
    }

    #[test]
    fn connects_and_disconnects_decode_to_what_was_encoded(
        namespace in namespace(),
        text in any::<String>(),
    ) {
        let connect = socket_io::encode_connect(Revision::V4, &namespace, &text);
        let payload = format!("{{\"sid\":{}}}", quoted(text.clone()));
        let body = Body::Connect { payload: Some(&payload) };
        prop_assert_eq!(Packet::decode(&connect), Ok(Packet { namespace: &namespace, body }));

        let error = socket_io::encode_connect_error(&namespace, &text, Some("[1]"));
        let payload = payload.replacen("sid", "message", 1).replace('}', "");
        let decoded = Packet::decode(&error).unwrap();
        prop_assert_eq!(decoded.namespace, &namespace);
        let is_error = matches!(decoded.body, Body::ConnectError { payload: found }
            if found.replace('}', "") == format!("{payload},\"data\":[1]"));
        prop_assert!(is_error, "{}", error);

        let disconnect = socket_io::encode_disconnect(&namespace);
        let packet = Packet { namespace: &namespace, body: Body::Disconnect };
        prop_assert_eq!(Packet::decode(&disconnect), Ok(packet));
    }

    #[test]
    fn a_published_event_is_an_event_to_the_client(
        namespace in namespace(),
        channel in any::<String>(),
        json in json(),
    ) {
        prop_assume!(!womack_proto::is_reserved_event(&channel));
        let frame = frame::event(&frame::event_prefix(&namespace, &channel), json.as_bytes());
        let (opcode, payload) = frame::packets(frame.as_bytes()).next().unwrap();
        prop_assert_eq!(opcode, frame::Opcode::Text);
        let engine_io::Packet::Message(text) =
            engine_io::Packet::decode(str::from_utf8(payload).unwrap()).unwrap()
        else {
            panic!("no message");
        };
        let body = Body::Event { ack: None, name: channel.into(), args: &json, attachments: 0 };
        prop_assert_eq!(Packet::decode(text), Ok(Packet { namespace: &namespace, body }));
    }

    #[test]
    fn every_json_text_is_a_message(json in json()) {
        prop_assert!(envelope::check(json.as_bytes(), &mut Scratch::default()).is_ok(), "{}", json);
        checks::envelopes(json.as_bytes());
    }

    #[test]
    fn serde_json_agrees_on_what_is_json(data in nearly_json()) {
        checks::envelopes(&data);
    }

    #[test]
    fn packets_survive_polling(
        format in format(),
        packets in vec(prop_oneof![
            "[0-9][^\u{1e}]{0,8}".prop_map(Ok),
            vec(any::<u8>(), 0..8).prop_map(Err),
        ], 1..8),
        max_packets in 1_usize..9,
    ) {
        let revision = match format {
            Format::Separated => Revision::V4,
            Format::Counted { .. } => Revision::V3,
            Format::Legacy => Revision::Legacy,
        };
        let frames: Vec<u8> = packets.iter().flat_map(|packet| match packet {
            Ok(text) => Frame::text(&[text.as_bytes()]).into_bytes(),
            Err(data) => Frame::binary(revision, data).into_bytes(),
        }).collect();
        let (mut rest, mut received) = (&frames[..], Vec::new());
        while !rest.is_empty() {
            let mut body = Vec::new();
            rest = &rest[payload::encode(format, [rest], max_packets, &mut body).consumed..];
            for packet in payload::decode(format, &body, max_packets).unwrap() {
                received.push(match packet {
                    payload::Packet::Text(text) => match engine_io::decode_base64(revision, &text) {
                        None => Ok(text.into_owned()),
                        Some(data) => Err(data.unwrap().to_vec()),
                    },
                    payload::Packet::Binary(packet) => {
                        Err(engine_io::decode_binary(revision, packet).unwrap().to_vec())
                    }
                });
            }
        }
        prop_assert_eq!(received, packets);
    }

    #[test]
    fn an_event_in_ascii_is_the_same_event(
        namespace in namespace(),
        channel in any::<String>(),
        json in json(),
        twice in any::<bool>(),
    ) {
        prop_assume!(!womack_proto::is_reserved_event(&channel));
        // A namespace is not escaped; of one that is UTF-8 twice an encoding would be taken away.
        prop_assume!(namespace.is_ascii() || namespace.chars().any(|char| char > '\u{ff}'));
        let frame = frame::event(&frame::event_prefix(&namespace, &channel), json.as_bytes());
        let format = Format::Counted { base64: false, json: true, jsonp: None };
        let mut body = Vec::new();
        payload::encode(format, [frame.as_bytes()], 1, &mut body);
        prop_assert!(body.is_ascii() || !namespace.is_ascii());
        if twice && namespace.is_ascii() {
            // Nothing changes for a client that decodes what it gets twice.
            body = body.iter().copied().map(char::from).collect::<String>().into_bytes();
        }
        let packets = payload::decode(format, &body, 1).unwrap();
        let [payload::Packet::Text(text)] = &packets[..] else {
            panic!("no text packet");
        };
        let packet = Packet::decode(&text[1..]).unwrap();
        prop_assert_eq!(packet.namespace, &namespace);
        let Body::Event { name, args, .. } = packet.body else {
            panic!("no event");
        };
        prop_assert_eq!(name, channel);
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
        prop_assert_eq!(value(args), value(&json));
    }

    #[test]
    fn frames_may_be_cut_anywhere(
        packets in vec("[0-9].{0,200}", 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut frames = Vec::new();
        for packet in &packets {
            frame::append_text(&mut frames, &[packet.as_bytes()]);
        }
        let cut = cut.index(frames.len() + 1);
        let mut first = frame::packets(&frames[..cut]);
        let mut found: Vec<_> = first.by_ref().map(|(_, packet)| packet).collect();
        let second = frame::packets(&frames[first.consumed()..]);
        found.extend(second.map(|(_, packet)| packet));
        let expected: Vec<_> = packets.iter().map(String::as_bytes).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_confuse_a_decoder(data in vec(any::<u8>(), 0..128)) {
        checks::packets(&data);
        checks::polling(&data);
        checks::counted(&data);
        checks::frames(&data);
        checks::publishers::messages(&data);
        checks::queries(&data);
        checks::sessions(&data);
    }

    #[test]
    fn no_text_confuses_a_decoder(
        text in "[0-6b]?[0-6]?(1-)?(/[a-b]?,?)?[0-9]{0,3}[\\[{\"]{0,2}.{0,12}[\\]}\"]{0,2}\u{1e}?",
    ) {
        checks::packets(text.as_bytes());
        checks::polling(text.as_bytes());
        checks::counted(format!("{}:{text}", text.encode_utf16().count()).as_bytes());
        checks::queries(text.as_bytes());
    }

    #[test]
    fn no_bodies_confuse_a_decoder(body in vec(counted(), 0..6)) {
        checks::counted(&body.concat());
    }

    #[test]
    fn no_bytes_confuse_a_decoder_of_socket_io_09(data in vec(any::<u8>(), 0..128)) {
        checks::legacy::packets(&data);
        checks::legacy::polling(&data);
        checks::legacy::requests(&data);
    }

    #[test]
    fn no_text_confuses_a_decoder_of_socket_io_09(
        packet in "[0-9]?:?[0-9]{0,2}\\+?:?(/[ab]?)?\\??:?[0-9]?\\+?[{\\[]{0,2}.{0,12}[}\\]]{0,2}",
        body in "(\u{fffd}[0-9]{0,2}\u{fffd}[2-8]::.{0,4}){0,3}",
        request in "(/|/(websocket|jsonp-polling|x)){0,2}(/[a-z]{1,3})?/?(\\?(i|jsonp|disconnect)=[0-9<]{0,3})?",
    ) {
        checks::legacy::packets(packet.as_bytes());
        checks::legacy::polling(body.as_bytes());
        checks::legacy::requests(request.as_bytes());
    }

    #[test]
    fn no_sequence_confuses_a_session(layer in any::<u8>(), steps in vec(step(), 0..24)) {
        checks::sessions(&[&[layer][..], &steps.concat()].concat());
    }
}

/// How polling bodies are written that can be read again as they are.
fn format() -> impl Strategy<Value = Format> {
    let counted = any::<bool>().prop_map(|base64| Format::Counted {
        base64,
        json: false,
        jsonp: None,
    });
    prop_oneof![Just(Format::Separated), counted]
}

/// A packet with a length before it that is right, or nearly.
fn counted() -> impl Strategy<Value = Vec<u8>> {
    let text = ("[0-9b].{0,12}", 0_usize..12).prop_map(|(text, wrong)| {
        let length = text.encode_utf16().count() + usize::from(wrong == 0);
        format!("{length}:{text}").into_bytes()
    });
    let bytes = (0_u8..3, vec(any::<u8>(), 0..12)).prop_map(|(kind, data)| {
        let digits = data.len().to_string().into_bytes();
        let digits = digits.iter().map(|digit| digit - b'0').collect();
        [vec![kind], digits, vec![0xff], data].concat()
    });
    prop_oneof![3 => text, 1 => bytes]
}

/// One step of [`checks::sessions`], more often sensible than not.
fn step() -> impl Strategy<Value = Vec<u8>> {
    let packet = prop::sample::select(vec![
        "40",
        "40/a",
        "40/b,{\"token\":1}",
        "40/c",
        "41",
        "41/a",
        "42[\"m\",1]",
        "42/a,1[\"m\"]",
        "451-[\"m\"]",
        "452-/a,[\"m\"]",
        "431[]",
        "461-1[]",
        "3",
        "3",
        "5",
        "bAQID",
        "b",
        "4abc",
        "2",
        "40/a?token=1,",
        "b4AQID",
    ]);
    let packet = (0_u8..4, packet).prop_map(|(step, text)| bytes(step, text.as_bytes()));
    let command = (4_u8..10, vec(any::<u8>(), 0..4)).prop_map(|(step, data)| bytes(step, &data));
    let accept = (0_u8..4).prop_map(|length| bytes(6, &vec![b's'; length.into()]));
    prop_oneof![4 => packet, 2 => command, 3 => accept]
}

fn bytes(step: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("short steps");
    [&[step, length], content].concat()
}
