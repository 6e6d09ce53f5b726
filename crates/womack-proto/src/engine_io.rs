//! Packets of Engine.IO 4: a digit and what belongs to it.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use crate::error::DecodeError;

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
    /// `2`: asks for a pong; the server's.
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

/// The data of a binary packet in a polling body, if `text` is one: `b` and base64.
///
/// # Errors
/// What follows the `b` is not base64.
pub fn decode_base64(text: &str) -> Option<Result<Bytes, DecodeError>> {
    let base64 = text.strip_prefix('b')?;
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
            assert_eq!(decode_base64(text), expected, "{text}");
        }
    }
}
