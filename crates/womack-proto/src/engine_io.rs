//! Packets of Engine.IO 3 and 4: a digit and what belongs to it.
//!
//! Text packets are the same in both. A binary packet is always a message; Engine.IO 3 says so
//! with a type of its own before the data, the byte 04.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use crate::{error::DecodeError, handshake::Revision};

/// Base64 with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The packet with which a client tries whether its WebSocket works.
pub const PROBE: &str = "2probe";

/// The packet with which a client changes to its WebSocket.
pub const UPGRADE: &str = "5";

/// A text packet (Engine.IO protocol, "Packet encoding").
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// `0`: opens the session; the server's.
    Open(&'a str),
    /// `1`: closes the session.
    Close,
    /// `2`: asks for a pong; the server's, and in Engine.IO 3 the client's.
    Ping(&'a str),
    /// `3`: answers a ping.
    Pong(&'a str),
    /// `4`: a message.
    Message(&'a str),
    /// `5`: completes the change to another transport.
    Upgrade,
    /// `6`: nothing.
    Noop,
}

impl<'a> Packet<'a> {
    /// Reads one text packet.
    ///
    /// # Errors
    /// An empty text, or a first character that is no type.
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        let mut characters = text.chars();
        let kind = characters.next().ok_or(DecodeError::EmptyPacket)?;
        let data = characters.as_str();
        Ok(match kind {
            '0' => Self::Open(data),
            '1' => Self::Close,
            '2' => Self::Ping(data),
            '3' => Self::Pong(data),
            '4' => Self::Message(data),
            '5' => Self::Upgrade,
            '6' => Self::Noop,
            _ => return Err(DecodeError::EngineIoType),
        })
    }
}

/// What stands before the data of a binary message in Engine.IO 3.
pub const BINARY_MESSAGE: u8 = 4;

/// The data of a binary packet: all of it, or what follows the type in Engine.IO 3.
///
/// # Errors
/// In Engine.IO 3 an empty packet, or one that is no message.
pub fn decode_binary(revision: Revision, packet: Bytes) -> Result<Bytes, DecodeError> {
    if revision != Revision::V3 {
        return Ok(packet);
    }
    match packet.first() {
        Some(&BINARY_MESSAGE) => Ok(packet.slice(1..)),
        Some(_) => Err(DecodeError::EngineIoType),
        None => Err(DecodeError::EmptyPacket),
    }
}

/// The data of a binary packet in a polling body, if `text` is one: `b`, in Engine.IO 3 a `4`, and
/// base64.
///
/// # Errors
/// What follows the `b` is not base64, or no message.
pub fn decode_base64(revision: Revision, text: &str) -> Option<Result<Bytes, DecodeError>> {
    let mut base64 = text.strip_prefix('b')?;
    if revision == Revision::V3 {
        let Some(message) = base64.strip_prefix('4') else {
            return Some(Err(DecodeError::EngineIoType));
        };
        base64 = message;
    }
    Some(
        BASE64
            .decode(base64)
            .map(Bytes::from)
            .map_err(|_| DecodeError::Base64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_character_is_the_type() {
        for (text, expected) in [
            ("0{}", Ok(Packet::Open("{}"))),
            ("1", Ok(Packet::Close)),
            (PROBE, Ok(Packet::Ping("probe"))),
            ("3", Ok(Packet::Pong(""))),
            ("4", Ok(Packet::Message(""))),
            ("4é", Ok(Packet::Message("é"))),
            (UPGRADE, Ok(Packet::Upgrade)),
            ("6", Ok(Packet::Noop)),
            ("", Err(DecodeError::EmptyPacket)),
            ("7", Err(DecodeError::EngineIoType)),
            ("abc", Err(DecodeError::EngineIoType)),
            ("bAQIDBA==", Err(DecodeError::EngineIoType)),
            ("é", Err(DecodeError::EngineIoType)),
        ] {
            assert_eq!(Packet::decode(text), expected, "{text}");
        }
    }

    #[test]
    fn base64_comes_with_padding_or_without() {
        let data = Bytes::from_static(&[1, 2, 3, 4]);
        for (text, expected) in [
            ("bAQIDBA==", Some(Ok(data.clone()))),
            ("bAQIDBA", Some(Ok(data))),
            ("b", Some(Ok(Bytes::new()))),
            ("b!", Some(Err(DecodeError::Base64))),
            ("bA", Some(Err(DecodeError::Base64))),
            ("4b", None),
        ] {
            assert_eq!(decode_base64(Revision::V4, text), expected, "{text}");
        }
    }

    #[test]
    fn engine_io_3_names_the_type_of_binary_packets_too() {
        let data = Bytes::from_static(&[1, 2, 3, 4]);
        for (text, expected) in [
            ("b4AQIDBA==", Some(Ok(data.clone()))),
            ("b4", Some(Ok(Bytes::new()))),
            ("b4!", Some(Err(DecodeError::Base64))),
            ("bAQIDBA==", Some(Err(DecodeError::EngineIoType))),
            ("b", Some(Err(DecodeError::EngineIoType))),
            ("4b", None),
        ] {
            assert_eq!(decode_base64(Revision::V3, text), expected, "{text}");
        }
        for (packet, expected) in [
            (&[4, 1, 2, 3, 4][..], Ok(data.clone())),
            (&[4], Ok(Bytes::new())),
            (&[], Err(DecodeError::EmptyPacket)),
            (&[2], Err(DecodeError::EngineIoType)),
            (b"4", Err(DecodeError::EngineIoType)),
        ] {
            let packet = Bytes::copy_from_slice(packet);
            assert_eq!(decode_binary(Revision::V3, packet), expected);
        }
        assert_eq!(decode_binary(Revision::V4, data.clone()), Ok(data));
    }
}
