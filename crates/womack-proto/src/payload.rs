//! Several packets in one polling body.
//!
//! Engine.IO 4 puts the byte 0x1e between them. Engine.IO 3 puts the length of each before it, as
//! text or, where binary packets are among them, as bytes; and its answers may be scripts.
//! Socket.IO 0.9 does nearly the same, but with text only and not for a packet that is alone.

mod counted;
pub(crate) mod jsonp;
mod legacy;
mod separated;

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    error::DecodeError,
    frame::{self, Opcode},
    handshake::{Handshake, Revision},
    rules::Layer,
};

/// How the packets of a session's polling bodies are told apart.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Format {
    /// Engine.IO 4: a separator between the packets, binary ones as base64.
    Separated,
    /// Engine.IO 3: its length before each packet.
    Counted {
        /// Whether binary packets are base64 in any case.
        base64: bool,
        /// Whether the text is JSON where it is not ASCII, as that of Socket.IO is. Such text can
        /// be sent so that clients 1.x understand it, and mended when they sent it.
        json: bool,
        /// The callback of a client whose answers are scripts.
        jsonp: Option<u32>,
    },
    /// Socket.IO 0.9: its length before each packet, unless it is alone.
    Legacy,
}

impl Format {
    /// What the client asks for that opens a session of `layer` with `handshake`.
    pub fn new(handshake: &Handshake, layer: Layer) -> Self {
        match handshake.revision {
            Revision::V3 => Self::Counted {
                base64: handshake.base64 || handshake.jsonp.is_some(),
                json: layer == Layer::SocketIo,
                jsonp: handshake.jsonp,
            },
            Revision::V4 => Self::Separated,
            Revision::Legacy => Self::Legacy,
        }
    }
}

/// A packet as it stood in a polling body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// A text packet, or a binary one as `b` and base64.
    Text(Cow<'a, str>),
    /// A binary packet.
    Binary(Bytes),
}

impl Packet<'_> {
    /// The packet without the body that it stood in.
    pub fn into_owned(self) -> Packet<'static> {
        match self {
            Self::Text(text) => Packet::Text(text.into_owned().into()),
            Self::Binary(data) => Packet::Binary(data),
        }
    }
}

/// The packets in the body of a POST.
///
/// # Errors
/// Of a body that is not in `format`, that has an empty packet or none, or more than `max_packets`,
/// nothing is taken.
pub fn decode(
    format: Format,
    body: &[u8],
    max_packets: usize,
) -> Result<Vec<Packet<'_>>, DecodeError> {
    match format {
        Format::Separated => separated::decode(body, max_packets),
        Format::Counted {
            json, jsonp: None, ..
        } => counted::decode(body, json, max_packets),
        Format::Counted { json, .. } => {
            let body = jsonp::decode(body);
            let packets = counted::decode(body.as_bytes(), json, max_packets)?;
            Ok(packets.into_iter().map(Packet::into_owned).collect())
        }
        Format::Legacy => legacy::decode(body, max_packets),
    }
}

/// Writes the body that answers a poll at the end of `out`: the first `max_packets` packets of
/// `runs`, which are whole frames. Control frames among them are no packets and are passed over.
pub fn encode<'a>(
    format: Format,
    runs: impl IntoIterator<Item = &'a [u8]>,
    max_packets: usize,
    out: &mut Vec<u8>,
) -> Encoded {
    let (packets, consumed) = take(runs, max_packets);
    let content = match format {
        Format::Separated => separated::encode(&packets, out),
        Format::Counted {
            base64,
            json,
            jsonp: None,
        } => counted::encode(&packets, base64, json, out),
        Format::Counted {
            json,
            jsonp: Some(callback),
            ..
        } => {
            let mut body = Vec::new();
            counted::encode(&packets, true, json, &mut body);
            jsonp::encode(callback, &body, out)
        }
        Format::Legacy => legacy::encode(&packets, out),
    };
    Encoded { consumed, content }
}

/// What [`encode`] did.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Encoded {
    /// How many bytes of the frames are done with.
    pub consumed: usize,
    /// What the body is.
    pub content: Content,
}

/// What the body of an answer is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// Packets as text.
    Text,
    /// Packets as bytes.
    Bytes,
    /// A script that brings packets.
    Script,
}

impl Content {
    /// The value of the header `Content-Type`. Clients of Engine.IO 3 decide by it how to read.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=UTF-8",
            Self::Bytes => "application/octet-stream",
            Self::Script => "text/javascript; charset=UTF-8",
        }
    }
}

/// Packets out of frames; the inline room is what an answer of the server has at most.
type Packets<'a> = SmallVec<[(Opcode, &'a [u8]); 16]>;

/// The first packets of `runs`, and how many bytes of the frames that were.
fn take<'a>(runs: impl IntoIterator<Item = &'a [u8]>, max_packets: usize) -> (Packets<'a>, usize) {
    let (mut taken, mut consumed) = (Packets::new(), 0);
    for run in runs {
        let mut packets = frame::packets(run);
        while taken.len() < max_packets {
            match packets.next() {
                Some((Opcode::Other, _)) => {}
                Some(packet) => taken.push(packet),
                None => break,
            }
        }
        consumed += packets.consumed();
        if packets.consumed() < run.len() {
            break;
        }
    }
    (taken, consumed)
}

/// Adds a packet, unless it is empty or one too many.
fn push<'a>(
    packets: &mut Vec<Packet<'a>>,
    packet: Packet<'a>,
    max_packets: usize,
) -> Result<(), DecodeError> {
    let is_empty = match &packet {
        Packet::Text(text) => text.is_empty(),
        Packet::Binary(data) => data.is_empty(),
    };
    if is_empty {
        return Err(DecodeError::EmptyPacket);
    }
    if packets.len() == max_packets {
        return Err(DecodeError::TooManyPackets { max: max_packets });
    }
    packets.push(packet);
    Ok(())
}

fn append_base64(out: &mut Vec<u8>, data: &[u8]) {
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    let written = STANDARD
        .encode_slice(data, &mut out[start..])
        .expect("padded base64 has four characters for every three bytes");
    out.truncate(start + written);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, append_text};

    fn body(runs: &[&[u8]], max_packets: usize) -> (usize, Vec<u8>) {
        let mut out = Vec::new();
        let encoded = encode(
            Format::Separated,
            runs.iter().copied(),
            max_packets,
            &mut out,
        );
        assert_eq!(encoded.content, Content::Text);
        (encoded.consumed, out)
    }

    #[test]
    fn packets_beyond_the_limit_stay_for_the_next_poll() {
        let mut frames = Vec::new();
        for packet in ["4a", "4b", "4c"] {
            append_text(&mut frames, &[packet.as_bytes()]);
        }
        assert_eq!(body(&[&frames], 2), (8, b"4a\x1e4b".to_vec()));
        assert_eq!(body(&[&frames[8..]], 2), (4, b"4c".to_vec()));
    }

    #[test]
    fn control_frames_are_passed_over() {
        let mut frames = Frame::text(&[b"4a"]).as_bytes().to_vec();
        frames.extend_from_slice(Frame::pong(b"x").as_bytes());
        frames.extend_from_slice(Frame::text(&[b"4b"]).as_bytes());
        assert_eq!(body(&[&frames], 2), (frames.len(), b"4a\x1e4b".to_vec()));
    }

    #[test]
    fn a_frame_that_is_not_all_there_stays() {
        let frames = [Frame::text(&[b"4a"]).as_bytes(), b"\x81\x054b"].concat();
        assert_eq!(body(&[&frames, b"\x81\x016"], 9), (4, b"4a".to_vec()));
    }

    #[test]
    fn runs_of_frames_make_one_body() {
        let frame = Frame::text(&[b"4a"]);
        let twice = frame.as_bytes().repeat(2);
        assert_eq!(
            body(&[frame.as_bytes(), &twice], 2),
            (8, b"4a\x1e4a".to_vec())
        );
        assert_eq!(body(&[], 2), (0, Vec::new()));
    }

    #[test]
    fn the_handshake_chooses_the_format() {
        let format = |query| Format::new(&Handshake::parse(query).unwrap(), Layer::SocketIo);
        let counted = |base64, jsonp| Format::Counted {
            base64,
            json: true,
            jsonp,
        };
        for (query, expected) in [
            ("EIO=4&transport=polling&b64=1", Format::Separated),
            ("EIO=3&transport=polling", counted(false, None)),
            ("EIO=3&transport=polling&b64=1", counted(true, None)),
            // What is in a script cannot be bytes.
            ("EIO=3&transport=polling&j=3", counted(true, Some(3))),
        ] {
            assert_eq!(format(query), expected, "{query}");
        }
    }
}
