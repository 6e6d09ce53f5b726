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
