//! Bodies of Socket.IO 0.9: one packet bare, or each with its length before it.
//!
//! Of several packets, each has U+FFFD, its length in UTF-16 code units and U+FFFD before it:
//! `�3�2::�3�8::`. There are no binary packets.

use super::{Content, Packet, counted::split_at_unit, push};
use crate::{error::DecodeError, frame::Opcode};

const MARK: char = '\u{fffd}';

pub(super) fn decode(body: &[u8], max_packets: usize) -> Result<Vec<Packet<'_>>, DecodeError> {
    let mut rest = str::from_utf8(body).map_err(|_| DecodeError::NotUtf8)?;
    let mut packets = Vec::new();
    if !rest.starts_with(MARK) {
        push(&mut packets, Packet::Text(rest.into()), max_packets)?;
        return Ok(packets);
    }
    while !rest.is_empty() {
        let marked = rest.strip_prefix(MARK);
        let (length, after) = marked
            .and_then(|marked| marked.split_once(MARK))
            .ok_or(DecodeError::PacketLength)?;
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse().ok().filter(|_| is_number);
        let (packet, after) = length
            .and_then(|length| split_at_unit(after, length))
            .ok_or(DecodeError::PacketLength)?;
        push(&mut packets, Packet::Text(packet.into()), max_packets)?;
        rest = after;
    }
    Ok(packets)
}

pub(super) fn encode(packets: &[(Opcode, &[u8])], out: &mut Vec<u8>) -> Content {
    let texts = || {
        let texts = packets.iter().filter(|(opcode, _)| *opcode == Opcode::Text);
        texts.map(|&(_, text)| text)
    };
    let is_alone = texts().nth(1).is_none();
    for text in texts() {
        if !is_alone {
            let mark = format!("{MARK}{}{MARK}", units(text));
            out.extend_from_slice(mark.as_bytes());
        }
        out.extend_from_slice(text);
    }
    Content::Text
}

/// How many UTF-16 code units a text in UTF-8 has: one for each character, and one more for each
/// of four bytes.
fn units(text: &[u8]) -> usize {
    let units = |&byte: &u8| usize::from(byte & 0xc0 != 0x80) + usize::from(byte >= 0xf0);
    text.iter().map(units).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(body: &str, max_packets: usize) -> Result<Vec<String>, DecodeError> {
        let packets = decode(body.as_bytes(), max_packets)?;
        let text = |packet| match packet {
            Packet::Text(text) => text.into_owned(),
            Packet::Binary(_) => panic!("a binary packet"),
        };
        Ok(packets.into_iter().map(text).collect())
    }

    fn encoded(packets: &[(Opcode, &[u8])]) -> String {
        let mut out = Vec::new();
        assert_eq!(encode(packets, &mut out), Content::Text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_packet_is_bare_and_several_have_lengths() {
        for (body, packets) in [
            ("2::", &["2::"][..]),
            ("3:::a\u{fffd}b", &["3:::a\u{fffd}b"]),
            ("\u{fffd}3\u{fffd}2::\u{fffd}3\u{fffd}8::", &["2::", "8::"]),
            (
                "\u{fffd}7\u{fffd}3:::é😀\u{fffd}5\u{fffd}3:::\u{fffd}",
                &["3:::é😀", "3:::\u{fffd}"],
            ),
        ] {
            assert_eq!(decoded(body, 2).unwrap(), packets, "{body}");
            let packets: Vec<_> = packets
                .iter()
                .map(|packet| (Opcode::Text, packet.as_bytes()))
                .collect();
            assert_eq!(encoded(&packets), body);
        }
        assert_eq!(decoded("\u{fffd}03\u{fffd}2::", 1).unwrap(), ["2::"]);
    }

    #[test]
    fn lengths_must_fit() {
        for body in [
            "\u{fffd}",
            "\u{fffd}3",
            "\u{fffd}\u{fffd}2::",
            "\u{fffd}+3\u{fffd}2::",
            "\u{fffd}4\u{fffd}2::",
            "\u{fffd}2\u{fffd}2::",
            "\u{fffd}1\u{fffd}😀",
            "\u{fffd}99999999999999999999\u{fffd}2::",
            "\u{fffd}3\u{fffd}2::\u{fffd}9\u{fffd}2::",
            "\u{fffd}3\u{fffd}2::8::",
        ] {
            assert_eq!(decoded(body, 9), Err(DecodeError::PacketLength), "{body}");
        }
        assert_eq!(decode(b"\xff", 9), Err(DecodeError::NotUtf8));
    }

    #[test]
    fn a_body_needs_packets_and_not_too_many() {
        for body in [
            "",
            "\u{fffd}0\u{fffd}",
            "\u{fffd}3\u{fffd}2::\u{fffd}0\u{fffd}",
        ] {
            assert_eq!(decoded(body, 9), Err(DecodeError::EmptyPacket), "{body}");
        }
        let body = "\u{fffd}3\u{fffd}2::".repeat(3);
        let error = DecodeError::TooManyPackets { max: 2 };
        assert_eq!(decoded(&body, 2), Err(error));
    }

    #[test]
    fn binary_packets_are_left_out() {
        let packets: [(Opcode, &[u8]); 3] = [
            (Opcode::Binary, &[0xff]),
            (Opcode::Text, b"2::"),
            (Opcode::Binary, &[]),
        ];
        assert_eq!(encoded(&packets), "2::");
        assert_eq!(encoded(&packets[..1]), "");
    }
}
