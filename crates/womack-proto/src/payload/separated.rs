//! Bodies of Engine.IO 4: the byte 0x1e between packets, binary ones as `b` and base64.

use super::{Content, Packet, append_base64, push};
use crate::{error::DecodeError, frame::Opcode};

const SEPARATOR: char = '\x1e';

pub(super) fn decode(body: &[u8], max_packets: usize) -> Result<Vec<Packet<'_>>, DecodeError> {
    let text = str::from_utf8(body).map_err(|_| DecodeError::NotUtf8)?;
    let mut packets = Vec::new();
    for packet in text.split(SEPARATOR) {
        push(&mut packets, Packet::Text(packet.into()), max_packets)?;
    }
    Ok(packets)
}

pub(super) fn encode(packets: &[(Opcode, &[u8])], out: &mut Vec<u8>) -> Content {
    for (index, (opcode, packet)) in packets.iter().enumerate() {
        if index > 0 {
            out.push(SEPARATOR as u8);
        }
        if *opcode == Opcode::Binary {
            out.push(b'b');
            append_base64(out, packet);
        } else {
            out.extend_from_slice(packet);
        }
    }
    Content::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_split_at_its_separators() {
        for (body, expected) in [
            ("40", &["40"][..]),
            ("4hello\x1e4\x1ebAQIDBA==", &["4hello", "4", "bAQIDBA=="]),
            ("4é\x1e3", &["4é", "3"]),
        ] {
            let packets = decode(body.as_bytes(), 3).unwrap();
            let expected: Vec<_> = expected
                .iter()
                .map(|text| Packet::Text((*text).into()))
                .collect();
            assert_eq!(packets, expected, "{body:?}");
        }
    }

    #[test]
    fn a_body_without_a_packet_in_every_place_is_refused() {
        for body in ["", "\x1e", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b"] {
            let error = decode(body.as_bytes(), 9).err();
            assert_eq!(error, Some(DecodeError::EmptyPacket), "{body:?}");
        }
        let error = decode(b"4\x1e4\x1e4", 2).err();
        assert_eq!(error, Some(DecodeError::TooManyPackets { max: 2 }));
        assert_eq!(decode(b"4\xff", 2).err(), Some(DecodeError::NotUtf8));
    }

    #[test]
    fn binary_becomes_base64() {
        let mut body = Vec::new();
        let packets = [
            (Opcode::Binary, &[1, 2, 3, 4][..]),
            (Opcode::Binary, &[]),
            (Opcode::Text, b"4a"),
        ];
        encode(&packets, &mut body);
        assert_eq!(body, b"bAQIDBA==\x1eb\x1e4a");
    }
}
