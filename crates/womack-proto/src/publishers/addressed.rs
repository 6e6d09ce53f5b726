//! An envelope that says itself where it goes: `{"channels": ["a", "b"], "data": ..., ...options}`.
//!
//! Juggernaut's publishers send it on one Redis channel for all, and an HTTP publish has it as its
//! body.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{PublicationError, from_json, names::Names};

/// An envelope and the channels that it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addressed {
    /// The channels' names.
    pub channels: Vec<String>,
    /// The envelope: what came, but for the channels. Its values are as they were sent.
    pub envelope: String,
}

/// Reads a message. Its channels are under `channels` or, if that is not there, `channel`: one
/// name or a list of them.
///
/// # Errors
/// Everything but a JSON object that names a channel.
pub fn decode(message: &[u8]) -> Result<Addressed, PublicationError> {
    let Members(members) = from_json(message)?;
    let (mut channels, mut channel) = (None, None);
    let mut envelope = String::with_capacity(message.len());
    envelope.push('{');
    for (key, value) in members {
        let name: String = serde_json::from_str(key.get()).map_err(|_| PublicationError::Form)?;
        match name.as_str() {
            "channels" => channels = Some(value),
            "channel" => channel = Some(value),
            _ => {
                if envelope.len() > 1 {
                    envelope.push(',');
                }
                envelope.push_str(key.get());
                envelope.push(':');
                envelope.push_str(value.get());
            }
        }
    }
    envelope.push('}');
    let names = channels.or(channel).ok_or(PublicationError::Form)?;
    let names: Names = serde_json::from_str(names.get()).map_err(|_| PublicationError::Form)?;
    let channels = names.into_vec();
    match channels.is_empty() {
        true => Err(PublicationError::Form),
        false => Ok(Addressed { channels, envelope }),
    }
}

/// The members of an object, in their order and as they were written.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_what_remains_without_the_channels() {
        for (message, channels, envelope) in [
            (
                r#"{"channels":["a","b"],"data":{"n":9007199254740993}}"#,
                &["a", "b"][..],
                r#"{"data":{"n":9007199254740993}}"#,
            ),
            (
                r#" {"data" : [ 1 ] , "channels" : "a", "except" : "s"} "#,
                &["a"],
                r#"{"data":[ 1 ],"except":"s"}"#,
            ),
            (r#"{"channel":"a","data":1}"#, &["a"], r#"{"data":1}"#),
            (r#"{"channel":"a","channels":["b"]}"#, &["b"], "{}"),
            (r#"{"\u0063hannels":7}"#, &["7"], "{}"),
        ] {
            let decoded = decode(message.as_bytes()).expect(message);
            assert_eq!(decoded.channels, channels, "{message}");
            assert_eq!(decoded.envelope, envelope, "{message}");
        }
    }

    #[test]
    fn other_messages_are_refused() {
        for (message, error) in [
            (&b"\xff"[..], PublicationError::NotUtf8),
            (b"", PublicationError::NotJson),
            (
                br#"{"channels":["a"],"data":nope}"#,
                PublicationError::NotJson,
            ),
            (b"[\"a\"]", PublicationError::Form),
            (b"{\"data\":1}", PublicationError::Form),
            (b"{\"channels\":[]}", PublicationError::Form),
            (b"{\"channels\":null}", PublicationError::Form),
            (b"{\"channels\":[[\"a\"]]}", PublicationError::Form),
            (b"{\"channels\":{}}", PublicationError::Form),
        ] {
            assert_eq!(decode(message), Err(error), "{}", message.escape_ascii());
        }
    }
}
