use super::*;
use crate::{frame::Frame, handshake::Revision, payload};

fn text(packet: &str) -> Packet<'_> {
    Packet::Text(packet.into())
}

#[test]
fn lengths_count_utf_16_code_units() {
    for (body, expected) in [
        ("1:2", &["2"][..]),
        ("6:4hello2:40", &["4hello", "40"]),
        ("3:4:12:2:", &["4:1", "2:"]),
        ("10:b4AQIDBA==", &["b4AQIDBA=="]),
        ("2:4ž4:4😀!1:2", &["4ž", "4😀!", "2"]),
        (
            r#"32:42["subscribe",{"channel":"😀"}]"#,
            &[r#"42["subscribe",{"channel":"😀"}]"#],
        ),
        ("01:2", &["2"]),
    ] {
        let expected: Vec<_> = expected.iter().map(|packet| text(packet)).collect();
        assert_eq!(decode(body.as_bytes(), true, 9), Ok(expected), "{body}");
    }
}

#[test]
fn what_was_encoded_twice_is_decoded_twice() {
    let twice = |text: &str| text.bytes().map(char::from).collect::<String>();
    for packet in [
        r#"42["subscribe",{"channel":"ž"}]"#,
        "42[\"😀\"]",
        "42[\"é\u{80}\"]",
    ] {
        let sent = twice(packet);
        let body = format!("{}:{sent}", sent.chars().count());
        assert_eq!(decode(body.as_bytes(), true, 1), Ok(vec![text(packet)]));
        assert_eq!(decode(body.as_bytes(), false, 1), Ok(vec![text(&sent)]));
    }
    // Latin letters that are no UTF-8, and letters beyond Latin, were encoded once.
    for packet in ["42[\"é\"]", "42[\"Å¾😀\"]", "42[\"ž\"]"] {
        let body = format!("{}:{packet}", packet.encode_utf16().count());
        assert_eq!(decode(body.as_bytes(), true, 1), Ok(vec![text(packet)]));
    }
}

#[test]
fn bytes_have_their_lengths_in_bytes() {
    let body = b"\0\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04\0\x03\xff4\xc5\xbe";
    let binary = Packet::Binary(Bytes::from_static(&[4, 1, 2, 3, 4]));
    let packets = [text("4hello"), binary, text("4ž")];
    assert_eq!(decode(body, true, 3), Ok(packets.to_vec()));
    let long = [b"\x01\x01\x02\x03\xff".as_slice(), &[4; 123]].concat();
    let packet = Packet::Binary(vec![4; 123].into());
    assert_eq!(decode(&long, true, 1), Ok(vec![packet]));
}

#[test]
fn other_bodies_are_refused_whole() {
    use DecodeError::{EmptyPacket, NotUtf8, PacketLength, TooManyPackets};
    for (body, expected) in [
        (&b""[..], EmptyPacket),
        (b"0:", EmptyPacket),
        (b"1:20:", EmptyPacket),
        (b"\0\0\xff", EmptyPacket),
        (b"\x01\xff", EmptyPacket),
        (b"abc", PacketLength),
        (b":2", PacketLength),
        (b"1", PacketLength),
        (b"2:2", PacketLength),
        (b"+1:2", PacketLength),
        (b"-1:2", PacketLength),
        (b" 1:2", PacketLength),
        (b"1:2x", PacketLength),
        (b"99999999999999999999:2", PacketLength),
        ("2:😀".as_bytes(), TooManyPackets { max: 0 }),
        ("1:😀".as_bytes(), PacketLength),
        ("2:4😀".as_bytes(), PacketLength),
        (b"1:\xff", NotUtf8),
        (b"\0", PacketLength),
        (b"\0\x01", PacketLength),
        (b"\0\x02\xff4", PacketLength),
        (b"\0\x0a\xff4", PacketLength),
        (b"\0\x01\xff4\x02\x01\xff4", PacketLength),
        (b"\0\x01\xff4\x07", PacketLength),
        (b"\0\x01\xff\xff", NotUtf8),
        (b"1:21:21:2", TooManyPackets { max: 2 }),
    ] {
        let max = if matches!(expected, TooManyPackets { max: 0 }) {
            0
        } else {
            2
        };
        let refused = decode(body, true, max);
        assert_eq!(refused, Err(expected), "{}", body.escape_ascii());
    }
}

fn body(packets: &[Frame], base64: bool, json: bool) -> (Content, Vec<u8>) {
    let format = payload::Format::Counted {
        base64,
        json,
        jsonp: None,
    };
    let mut out = Vec::new();
    let runs = packets.iter().map(Frame::as_bytes);
    let encoded = payload::encode(format, runs, 16, &mut out);
    (encoded.content, out)
}

#[test]
fn json_is_written_in_ascii() {
    for (packet, expected) in [
        ("6", "1:6"),
        (r#"42["a",{"data":1}]"#, r#"18:42["a",{"data":1}]"#),
        (r#"42["a","é"]"#, r#"16:42["a","\u00e9"]"#),
        ("42[\"😀\u{1e}\"]", "19:42[\"\\ud83d\\ude00\u{1e}\"]"),
        (r#"43/b,7["ž"]"#, r#"16:43/b,7["\u017e"]"#),
        // A namespace is no JSON.
        (r#"42/é😀,["é"]"#, r#"17:42/é😀,["\u00e9"]"#),
        ("40/é", "4:40/é"),
        ("3é", "2:3é"),
    ] {
        let frame = Frame::text(&[packet.as_bytes()]);
        let (content, body) = body(&[frame], false, true);
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        assert_eq!(content, Content::Text);
    }
}

#[test]
fn what_is_no_json_stays_as_it_is() {
    let frame = Frame::text(&["4[é😀".as_bytes()]);
    let (_, body) = body(&[frame], false, false);
    assert_eq!(String::from_utf8(body).unwrap(), "5:4[é😀");
}

#[test]
fn binary_packets_make_the_whole_body_bytes_unless_base64_is_wanted() {
    let packets = [
        Frame::text(&["4[\"é\"]".as_bytes()]),
        Frame::binary(Revision::V3, &[1, 2, 3, 4]),
        Frame::binary(Revision::V3, &[7; 9]),
    ];
    let (content, as_bytes) = body(&packets, false, true);
    let expected = [
        &b"\0\x01\x01\xff4[\"\\u00e9\"]"[..],
        b"\x01\x05\xff\x04\x01\x02\x03\x04",
        b"\x01\x01\x00\xff\x04\x07\x07\x07\x07\x07\x07\x07\x07\x07",
    ];
    assert_eq!((content, as_bytes), (Content::Bytes, expected.concat()));
    let (content, text) = body(&packets, true, true);
    let expected = b"11:4[\"\\u00e9\"]10:b4AQIDBA==14:b4BwcHBwcHBwcH";
    assert_eq!((content, text), (Content::Text, expected.to_vec()));
}
