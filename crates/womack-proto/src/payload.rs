//! Several packets in one polling body, as Engine.IO 4 has them: joined by the byte 0x1e, binary
//! ones as `b` and base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    error::DecodeError,
    frame::{Opcode, packets},
};

const SEPARATOR: char = '\x1e';

/// The packets in the body of a POST.
///
/// # Errors
/// An empty packet, and so an empty body, is an error, and so are more than `max_packets`.
pub fn decode(
    body: &str,
    max_packets: usize,
) -> Result<impl Iterator<Item = &str> + Clone, DecodeError> {
    let packets = body.split(SEPARATOR);
    let mut count = 0;
    for packet in packets.clone() {
        if packet.is_empty() {
            return Err(DecodeError::EmptyPacket);
        }
        count += 1;
        if count > max_packets {
            return Err(DecodeError::TooManyPackets { max: max_packets });
        }
    }
    Ok(packets)
}

/// Writes the body that answers a poll: the packets of whole `frames`, `max_packets` at most.
/// Returns how many bytes of `frames` that were.
pub fn encode(frames: &[u8], max_packets: usize, out: &mut Vec<u8>) -> usize {
    Encoder::new(out, max_packets).push(frames)
}

/// Writes the body that answers a poll out of several runs of frames.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
    is_first: bool,
}

impl<'a> Encoder<'a> {
    /// A body of at most `max_packets` packets at the end of `out`.
    pub const fn new(out: &'a mut Vec<u8>, max_packets: usize) -> Self {
        Self {
            out,
            left: max_packets,
            is_first: true,
        }
    }

    /// Takes packets out of whole `frames` while there is room, and returns how many bytes of
    /// `frames` are done with. Control frames are none and are passed over.
    pub fn push(&mut self, frames: &[u8]) -> usize {
        let mut packets = packets(frames);
        while self.left > 0 {
            match packets.next() {
                Some((Opcode::Text, packet)) => {
                    self.separate();
                    self.out.extend_from_slice(packet);
                }
                Some((Opcode::Binary, data)) => {
                    self.separate();
                    self.base64(data);
                }
                Some((Opcode::Other, _)) => {}
                None => break,
            }
        }
        packets.consumed()
    }

    /// Whether no packet more fits.
    pub const fn is_full(&self) -> bool {
        self.left == 0
    }

    fn separate(&mut self) {
        if !self.is_first {
            self.out.push(SEPARATOR as u8);
        }
        self.is_first = false;
        self.left -= 1;
    }

    fn base64(&mut self, data: &[u8]) {
        self.out.push(b'b');
        let start = self.out.len();
        self.out.resize(start + data.len().div_ceil(3) * 4, 0);
        let written = STANDARD
            .encode_slice(data, &mut self.out[start..])
            .expect("padded base64 has four characters for every three bytes");
        self.out.truncate(start + written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, append_text};

    #[test]
    fn a_body_is_split_at_its_separators() {
        for (body, expected) in [
            ("40", &["40"][..]),
            ("4hello\x1e4\x1ebAQIDBA==", &["4hello", "4", "bAQIDBA=="]),
            ("4é\x1e3", &["4é", "3"]),
        ] {
            let packets: Vec<_> = decode(body, 3).unwrap().collect();
            assert_eq!(packets, expected, "{body:?}");
        }
    }

    #[test]
    fn a_body_without_a_packet_in_every_place_is_refused() {
        for body in ["", "\x1e", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b"] {
            assert_eq!(
                decode(body, 9).err(),
                Some(DecodeError::EmptyPacket),
                "{body:?}"
            );
        }
        let error = decode("4\x1e4\x1e4", 2).err();
        assert_eq!(error, Some(DecodeError::TooManyPackets { max: 2 }));
    }

    #[test]
    fn packets_beyond_the_limit_stay_for_the_next_poll() {
        let mut frames = Vec::new();
        for packet in ["4a", "4b", "4c"] {
            append_text(&mut frames, &[packet.as_bytes()]);
        }
        let mut body = Vec::new();
        let consumed = encode(&frames, 2, &mut body);
        assert_eq!((consumed, &*body), (8, &b"4a\x1e4b"[..]));
        body.clear();
        assert_eq!(encode(&frames[consumed..], 2, &mut body), 4);
        assert_eq!(body, b"4c");
    }

    #[test]
    fn binary_becomes_base64_and_control_frames_nothing() {
        let mut frames = Frame::binary(&[1, 2, 3, 4]).as_bytes().to_vec();
        frames.extend_from_slice(Frame::pong(b"x").as_bytes());
        frames.extend_from_slice(Frame::binary(&[]).as_bytes());
        frames.extend_from_slice(Frame::text(&[b"4a"]).as_bytes());
        let mut body = Vec::new();
        assert_eq!(encode(&frames, 3, &mut body), frames.len());
        assert_eq!(body, b"bAQIDBA==\x1eb\x1e4a");
    }

    #[test]
    fn a_frame_that_is_not_all_there_stays() {
        let frames = [Frame::text(&[b"4a"]).as_bytes(), b"\x81\x054b"].concat();
        let mut body = Vec::new();
        assert_eq!(encode(&frames, 9, &mut body), 4);
        assert_eq!(body, b"4a");
    }

    #[test]
    fn runs_of_frames_make_one_body() {
        let frame = Frame::text(&[b"4a"]);
        let mut body = Vec::new();
        let mut encoder = Encoder::new(&mut body, 2);
        assert_eq!(encoder.push(frame.as_bytes()), 4);
        assert!(!encoder.is_full());
        assert_eq!(encoder.push(&frame.as_bytes().repeat(2)), 4);
        assert!(encoder.is_full());
        assert_eq!(encoder.push(frame.as_bytes()), 0);
        assert_eq!(body, b"4a\x1e4a");
    }
}
