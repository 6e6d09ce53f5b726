//! Packets as WebSocket frames, encoded once for all their receivers.
//!
//! A frame here is whole, final and unmasked, as servers send them (RFC 6455, 5.2). Polling uses
//! the same bytes: [`packets`] finds the packets again in a run of frames.

use std::{fmt, iter::FusedIterator};

use bytes::Bytes;

use crate::{engine_io::BINARY_MESSAGE, handshake::Revision};

/// Longest payload of a control frame.
const MAX_CONTROL_BYTES: usize = 125;

/// Longest header of an unmasked frame.
const MAX_HEADER_BYTES: usize = 10;

/// The frame of the Engine.IO packet `1`, which ends a session.
pub const CLOSE: Frame = Frame::from_static(b"\x81\x011");

/// The frame of the Engine.IO packet `2`, a ping.
pub const PING: Frame = Frame::from_static(b"\x81\x012");

/// The frame of the Engine.IO packet `3probe`, which tells a client that its WebSocket works.
pub const PROBE_ANSWER: Frame = Frame::from_static(b"\x81\x063probe");

/// The frame of the Engine.IO packet `6`, which ends a poll that has nothing to say.
pub const NOOP: Frame = Frame::from_static(b"\x81\x016");

/// One outgoing packet with its WebSocket header.
#[derive(Clone, Eq, PartialEq)]
pub struct Frame(Bytes);

impl Frame {
    /// The frame of a text message: `parts`, one after the other. They must be UTF-8 together.
    pub fn text(parts: &[&[u8]]) -> Self {
        Self::new(Opcode::TEXT, parts)
    }

    /// The frame of a binary message as clients of `revision` expect it.
    pub fn binary(revision: Revision, data: &[u8]) -> Self {
        match revision {
            Revision::V3 => Self::new(Opcode::BINARY, &[&[BINARY_MESSAGE], data]),
            Revision::V4 | Revision::Legacy => Self::new(Opcode::BINARY, &[data]),
        }
    }

    /// The frame that answers a WebSocket ping with the same data; what is beyond the 125 bytes
    /// of a control frame is left out.
    pub fn pong(data: &[u8]) -> Self {
        Self::new(Opcode::PONG, &[&data[..data.len().min(MAX_CONTROL_BYTES)]])
    }

    /// The frame that closes a WebSocket. Code 1005 means that no code is given: the frame is
    /// empty. A reason that is too long is cut.
    pub fn close(code: u16, reason: &str) -> Self {
        if code == 1005 {
            return Self::from_static(b"\x88\x00");
        }
        let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL_BYTES - 2)];
        Self::new(Opcode::CLOSE, &[&code.to_be_bytes(), reason.as_bytes()])
    }

    /// A frame that is written out already. `bytes` must be one whole frame.
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self(Bytes::from_static(bytes))
    }

    /// Header and payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Header and payload, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    fn new(opcode: u8, parts: &[&[u8]]) -> Self {
        let length = total(parts);
        let mut buffer = Vec::with_capacity(header_bytes(length) + length);
        append(&mut buffer, opcode, parts);
        Self(buffer.into())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match packets(&self.0).next() {
            Some((opcode, payload)) => write!(f, "{opcode:?}({})", payload.escape_ascii()),
            None => write!(f, "Malformed({})", self.0.escape_ascii()),
        }
    }
}

/// Appends what [`Frame::text`] makes of `parts` to a buffer that many frames share.
pub fn append_text(buffer: &mut Vec<u8>, parts: &[&[u8]]) {
    buffer.reserve(MAX_HEADER_BYTES + total(parts));
    append(buffer, Opcode::TEXT, parts);
}

/// What comes before the published JSON in an event's packet: `42["hello",` or, in a namespace,
/// `42/another,["hello",`. The channel is escaped as `JSON.stringify` would.
pub fn event_prefix(namespace: &str, channel: &str) -> Vec<u8> {
    let mut prefix = b"42".to_vec();
    if namespace != "/" {
        prefix.extend_from_slice(namespace.as_bytes());
        prefix.push(b',');
    }
    prefix.push(b'[');
    serde_json::to_writer(&mut prefix, channel).expect("a string is JSON and a vector takes it");
    prefix.push(b',');
    prefix
}

/// The frame of an event with one argument, `json`; `prefix` is the channel's [`event_prefix`].
/// It costs one allocation.
pub fn event(prefix: &[u8], json: &[u8]) -> Frame {
    Frame::text(&[prefix, json, b"]"])
}

/// What a frame's payload is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Opcode {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// A control frame; no packet.
    Other,
}

impl Opcode {
    const TEXT: u8 = 0x1;
    const BINARY: u8 = 0x2;
    const CLOSE: u8 = 0x8;
    const PING: u8 = 0x9;
    const PONG: u8 = 0xa;
}

/// The payloads in a run of whole frames of ours. Ends at what is no such frame, or not all there.
pub const fn packets(frames: &[u8]) -> Packets<'_> {
    Packets {
        frames,
        consumed: 0,
    }
}

/// Iterator over frames, made by [`packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    frames: &'a [u8],
    consumed: usize,
}

impl Packets<'_> {
    /// Bytes of the frames that were given out so far.
    pub const fn consumed(&self) -> usize {
        self.consumed
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = (Opcode, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.frames[self.consumed..];
        let (opcode, header, length) = read_header(rest)?;
        let end = header.checked_add(length)?;
        let payload = rest.get(header..end)?;
        self.consumed += end;
        Some((opcode, payload))
    }
}

impl FusedIterator for Packets<'_> {}

/// The opcode, the header's length and the payload's.
fn read_header(bytes: &[u8]) -> Option<(Opcode, usize, usize)> {
    let (&[first, length], rest) = bytes.split_first_chunk()?;
    // Four bits that say "final, no extension", then the opcode.
    let opcode = match first ^ 0x80 {
        Opcode::TEXT => Opcode::Text,
        Opcode::BINARY => Opcode::Binary,
        Opcode::CLOSE | Opcode::PING | Opcode::PONG => Opcode::Other,
        _ => return None,
    };
    match length {
        0..=125 => Some((opcode, 2, usize::from(length))),
        126 => {
            let length = u16::from_be_bytes(*rest.first_chunk()?);
            Some((opcode, 4, usize::from(length)))
        }
        127 => {
            let length = u64::from_be_bytes(*rest.first_chunk()?);
            Some((opcode, 10, usize::try_from(length).ok()?))
        }
        // Masked: a client's frame.
        _ => None,
    }
}

fn append(buffer: &mut Vec<u8>, opcode: u8, parts: &[&[u8]]) {
    let length = total(parts);
    buffer.push(0x80 | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => buffer.push(length),
        (_, Ok(length)) => {
            buffer.push(126);
            buffer.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            buffer.push(127);
            buffer.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

const fn header_bytes(length: usize) -> usize {
    match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => MAX_HEADER_BYTES,
    }
}

fn total(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_grow_with_the_payload() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (0xffff, &[0x81, 126, 0xff, 0xff]),
            (0x1_0000, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![b'x'; length];
            let frame = Frame::text(&[&payload]);
            assert_eq!(&frame.as_bytes()[..header.len()], header);
            assert_eq!(&frame.as_bytes()[header.len()..], payload);
            let mut buffer = vec![1];
            append_text(&mut buffer, &[&payload]);
            assert_eq!(buffer[1..], *frame.as_bytes());
        }
    }

    #[test]
    fn parts_are_one_payload() {
        assert_eq!(
            Frame::text(&[b"4", b"", b"2[]"]).as_bytes(),
            b"\x81\x0442[]"
        );
        assert_eq!(
            Frame::binary(Revision::V4, &[0xff]).into_bytes(),
            &b"\x82\x01\xff"[..]
        );
        assert_eq!(
            Frame::binary(Revision::V3, &[0xff]).into_bytes(),
            &b"\x82\x02\x04\xff"[..]
        );
    }

    #[test]
    fn ready_made_frames_are_what_the_encoder_makes() {
        assert_eq!(CLOSE, Frame::text(&[b"1"]));
        assert_eq!(PING, Frame::text(&[b"2"]));
        assert_eq!(PROBE_ANSWER, Frame::text(&[b"3probe"]));
        assert_eq!(NOOP, Frame::text(&[b"6"]));
    }

    #[test]
    fn control_frames_stay_within_their_limit() {
        assert_eq!(Frame::pong(b"abc").as_bytes(), b"\x8a\x03abc");
        assert_eq!(Frame::pong(&[0; 200]).as_bytes().len(), 127);
        assert_eq!(Frame::close(1001, "bye").as_bytes(), b"\x88\x05\x03\xe9bye");
        assert_eq!(Frame::close(1005, "bye").as_bytes(), b"\x88\x00");
        // 61 whole characters of two bytes fit beside the code.
        assert_eq!(
            Frame::close(1000, &"é".repeat(100)).as_bytes().len(),
            2 + 2 + 122
        );
    }

    #[test]
    fn an_event_is_prefix_json_and_bracket() {
        let frame = event(&event_prefix("/", "hello"), br#"{"data":1}"#);
        assert_eq!(frame, Frame::text(&[br#"42["hello",{"data":1}]"#]));
        assert_eq!(event_prefix("/another", "a"), br#"42/another,["a","#);
        let prefix = event_prefix("/", "\"\\\n\u{1f}/é😀\u{7f}");
        assert_eq!(prefix, "42[\"\\\"\\\\\\n\\u001f/é😀\u{7f}\",".as_bytes());
    }

    #[test]
    fn packets_end_where_the_frames_end() {
        let frames = [
            Frame::text(&[b"4a"]).as_bytes(),
            Frame::binary(Revision::V4, &[1]).as_bytes(),
            Frame::close(1000, "").as_bytes(),
        ]
        .concat();
        for (end, whole) in [(0, 0), (1, 0), (4, 1), (6, 1), (7, 2), (10, 2), (11, 3)] {
            let mut packets = packets(&frames[..end]);
            assert_eq!(packets.by_ref().count(), whole, "{end}");
            assert_eq!(packets.consumed(), [0, 4, 7, 11][whole], "{end}");
        }
        let all: Vec<_> = packets(&frames).collect();
        assert_eq!(
            all,
            [
                (Opcode::Text, &b"4a"[..]),
                (Opcode::Binary, &[1]),
                (Opcode::Other, &[3, 0xe8]),
            ],
        );
    }

    #[test]
    fn what_is_no_frame_of_ours_ends_the_run() {
        for bytes in [
            &b"\x01\x014"[..],      // not final
            b"\x80\x014",           // continuation
            b"\xc1\x014",           // compressed
            b"\x83\x014",           // reserved opcode
            b"\x81\x81\0\0\0\x004", // masked
            b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff4",
        ] {
            assert_eq!(packets(bytes).next(), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn debug_shows_the_packet() {
        assert_eq!(format!("{PING:?}"), "Text(2)");
        assert_eq!(
            format!("{:?}", Frame::from_static(b"\x81")),
            "Malformed(\\x81)"
        );
    }
}
