//! Bodies of Engine.IO 3: the length of each packet before it.
//!
//! As text it is `<length>:<packet>`, the length in UTF-16 code units and binary packets as `b4`
//! and base64. As bytes it is `00` for text or `01`, the decimal digits of the length in bytes, one
//! byte for each, `ff`, and the packet.
//!
//! Clients 1.x encode the text of a polling body as UTF-8 twice, and expect the same of the
//! server, while 2.x do so once. Both understand ASCII. So text that is JSON is written in ASCII,
//! with escapes for the rest; and what comes is decoded once more where it can be.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Content, Packet, append_base64, push};
use crate::{engine_io::BINARY_MESSAGE, error::DecodeError, frame::Opcode};

const TEXT: u8 = 0;
const BINARY: u8 = 1;
/// Ends a length in a body of bytes.
const END_OF_LENGTH: u8 = 0xff;

pub(super) fn decode(
    body: &[u8],
    json: bool,
    max_packets: usize,
) -> Result<Vec<Packet<'_>>, DecodeError> {
    let packets = match body.first() {
        Some(&(TEXT | BINARY)) => decode_bytes(body, max_packets)?,
        _ => decode_text(body, json, max_packets)?,
    };
    if packets.is_empty() {
        return Err(DecodeError::EmptyPacket);
    }
    Ok(packets)
}

fn decode_text(
    body: &[u8],
    json: bool,
    max_packets: usize,
) -> Result<Vec<Packet<'_>>, DecodeError> {
    let mut rest = str::from_utf8(body).map_err(|_| DecodeError::NotUtf8)?;
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let (digits, after) = rest.split_once(':').ok_or(DecodeError::PacketLength)?;
        let length = digits.bytes().try_fold(0, |length, digit| {
            next_digit(length, digit.wrapping_sub(b'0'))
        });
        let (packet, after) = length
            .filter(|_| !digits.is_empty())
            .and_then(|length| split_at_unit(after, length))
            .ok_or(DecodeError::PacketLength)?;
        let packet = if json { mend(packet) } else { packet.into() };
        push(&mut packets, Packet::Text(packet), max_packets)?;
        rest = after;
    }
    Ok(packets)
}

fn decode_bytes(body: &[u8], max_packets: usize) -> Result<Vec<Packet<'_>>, DecodeError> {
    let mut rest = body;
    let mut packets = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let end = after.iter().position(|&byte| byte == END_OF_LENGTH);
        let (digits, after) = after.split_at(end.ok_or(DecodeError::PacketLength)?);
        let length = digits.iter().copied().try_fold(0, next_digit);
        let (packet, after) = length
            .and_then(|length| after[1..].split_at_checked(length))
            .ok_or(DecodeError::PacketLength)?;
        let packet = match *kind {
            TEXT => {
                let text = str::from_utf8(packet).map_err(|_| DecodeError::NotUtf8)?;
                Packet::Text(text.into())
            }
            BINARY => Packet::Binary(Bytes::copy_from_slice(packet)),
            _ => return Err(DecodeError::PacketLength),
        };
        push(&mut packets, packet, max_packets)?;
        rest = after;
    }
    Ok(packets)
}

fn next_digit(length: usize, digit: u8) -> Option<usize> {
    if digit > 9 {
        return None;
    }
    length.checked_mul(10)?.checked_add(digit.into())
}

/// Splits `text` after so many UTF-16 code units, if a character ends there.
pub(super) fn split_at_unit(text: &str, units: usize) -> Option<(&str, &str)> {
    if let Some((head, rest)) = text.split_at_checked(units)
        && head.is_ascii()
    {
        return Some((head, rest));
    }
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return Some(text.split_at(at));
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some((text, ""))
}

/// Takes away the second encoding of clients 1.x: characters that are all bytes, and UTF-8 as such.
fn mend(packet: &str) -> Cow<'_, str> {
    if packet.is_ascii() {
        return packet.into();
    }
    let bytes: Option<Vec<u8>> = packet.chars().map(|char| char.try_into().ok()).collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map_or(Cow::Borrowed(packet), Cow::Owned)
}

pub(super) fn encode(
    packets: &[(Opcode, &[u8])],
    base64: bool,
    json: bool,
    out: &mut Vec<u8>,
) -> Content {
    let is_binary = |(opcode, _): &(Opcode, &[u8])| *opcode == Opcode::Binary;
    let as_bytes = !base64 && packets.iter().any(is_binary);
    for &(opcode, packet) in packets {
        if opcode != Opcode::Binary {
            let text = String::from_utf8_lossy(packet);
            let text = Text::new(&text, json);
            if as_bytes {
                append_length(out, TEXT, text.bytes());
            } else {
                out.extend_from_slice(format!("{}:", text.units()).as_bytes());
            }
            text.append(out);
        } else if as_bytes {
            append_length(out, BINARY, packet.len());
            out.extend_from_slice(packet);
        } else {
            let data = packet.strip_prefix(&[BINARY_MESSAGE]).unwrap_or(packet);
            let length = 2 + data.len().div_ceil(3) * 4;
            out.extend_from_slice(format!("{length}:b4").as_bytes());
            append_base64(out, data);
        }
    }
    if as_bytes {
        Content::Bytes
    } else {
        Content::Text
    }
}

fn append_length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    out.extend(length.to_string().bytes().map(|digit| digit - b'0'));
    out.push(END_OF_LENGTH);
}

/// The text of a packet: what is written as it is, and then what is written in ASCII.
struct Text<'a> {
    plain: &'a str,
    json: &'a str,
}

impl<'a> Text<'a> {
    /// `json` says whether everything but a namespace can be escaped as JSON.
    fn new(text: &'a str, json: bool) -> Self {
        let start = if json && !text.is_ascii() {
            json_start(text)
        } else {
            text.len()
        };
        let (plain, json) = text.split_at(start);
        Self { plain, json }
    }

    fn bytes(&self) -> usize {
        self.plain.len() + self.escaped_bytes()
    }

    fn units(&self) -> usize {
        let units: usize = match self.plain.is_ascii() {
            true => self.plain.len(),
            false => self.plain.chars().map(char::len_utf16).sum(),
        };
        units + self.escaped_bytes()
    }

    fn escaped_bytes(&self) -> usize {
        let bytes = |char: char| match char.is_ascii() {
            true => 1,
            false => ESCAPE_BYTES * char.len_utf16(),
        };
        self.json.chars().map(bytes).sum()
    }

    fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.plain.as_bytes());
        out.reserve(self.json.len());
        for char in self.json.chars() {
            match u8::try_from(char).ok().filter(u8::is_ascii) {
                Some(byte) => out.push(byte),
                None => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        append_escape(out, *unit);
                    }
                }
            }
        }
    }
}

/// Bytes of `\u00e9`.
const ESCAPE_BYTES: usize = 6;

fn append_escape(out: &mut Vec<u8>, unit: u16) {
    let digit = |shift: u16| b"0123456789abcdef"[usize::from(unit >> shift & 0xf)];
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(digit));
}

/// Where the JSON of a packet begins: after the namespace, if it names one.
fn json_start(packet: &str) -> usize {
    let start = packet.find(['[', '{', '"', '/']).unwrap_or(packet.len());
    if !packet[start..].starts_with('/') {
        return start;
    }
    packet[start..]
        .find(',')
        .map_or(packet.len(), |comma| start + comma + 1)
}

#[cfg(test)]
mod tests;
