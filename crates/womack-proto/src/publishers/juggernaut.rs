//! What Juggernaut's browser client says and hears.
//!
//! It sends and gets texts in Socket.IO 0.9's message packets, each a JSON object: to the server
//! `{"type": "subscribe", "channel": "a"}`, to the client `{"data": ..., "channel": "a"}`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PublicationError, from_json, names::Names, to_json};

/// The Redis channel that Juggernaut's publishers publish on.
pub const CHANNEL: &str = "juggernaut";

/// What a client asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request<'a> {
    /// To get what is published on a channel.
    Subscribe(String),
    /// To get it no longer.
    Unsubscribe(String),
    /// To have this JSON sent along with what the application is told of the client.
    Meta(&'a str),
    /// To have this JSON told to the application.
    Event(&'a str),
}

impl<'a> Request<'a> {
    /// Reads the text of a message packet.
    ///
    /// # Errors
    /// Everything but a request. Juggernaut ignores it.
    pub fn decode(text: &'a str) -> Result<Self, PublicationError> {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            r#type: Cow<'a, str>,
            channel: Option<Names>,
            channels: Option<Names>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let message: Message<'a> = from_json(text.as_bytes())?;
        let data = message.data.map_or("null", RawValue::get);
        // Of several channels Juggernaut takes the first.
        let channel = || {
            let names = message.channels.or(message.channel).unwrap_or_default();
            let first = names.into_vec().into_iter().next();
            first.ok_or(PublicationError::Form)
        };
        match &*message.r#type {
            "subscribe" => Ok(Self::Subscribe(channel()?)),
            "unsubscribe" => Ok(Self::Unsubscribe(channel()?)),
            "meta" => Ok(Self::Meta(data)),
            "event" => Ok(Self::Event(data)),
            _ => Err(PublicationError::Form),
        }
    }
}

/// The text that tells a client what was published on `channel`: the envelope with the channel in
/// it, or, for JSON that is no object, an envelope with that as its data.
pub fn encode(channel: &str, json: &[u8]) -> Vec<u8> {
    let channel = to_json(channel);
    let json = json.trim_ascii();
    let members = json.strip_prefix(b"{");
    let Some(members) = members.and_then(|members| members.strip_suffix(b"}")) else {
        return [
            b"{\"data\":",
            json,
            b",\"channel\":",
            channel.as_bytes(),
            b"}",
        ]
        .concat();
    };
    // Last, so that it prevails over a channel that the envelope may name.
    match members.trim_ascii().is_empty() {
        true => [b"{\"channel\":", channel.as_bytes(), b"}"].concat(),
        false => [b"{", members, b",\"channel\":", channel.as_bytes(), b"}"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_objects_with_a_type() {
        for (text, expected) in [
            (
                r#"{"type":"subscribe","channel":"a"}"#,
                Ok(Request::Subscribe("a".into())),
            ),
            (
                r#"{"channels":["a","b"],"type":"subscribe"}"#,
                Ok(Request::Subscribe("a".into())),
            ),
            (
                r#"{"type":"unsubscribe","channel":7}"#,
                Ok(Request::Unsubscribe("7".into())),
            ),
            (
                r#"{"type":"meta","data":{"user": 1}}"#,
                Ok(Request::Meta(r#"{"user": 1}"#)),
            ),
            (
                r#"{"type":"event","data":"x"}"#,
                Ok(Request::Event("\"x\"")),
            ),
            (r#"{"type":"event"}"#, Ok(Request::Event("null"))),
            (r#"{"type":"subscribe"}"#, Err(PublicationError::Form)),
            (
                r#"{"type":"subscribe","channels":[]}"#,
                Err(PublicationError::Form),
            ),
            (r#"{"type":"x"}"#, Err(PublicationError::Form)),
            (r#"{"channel":"a"}"#, Err(PublicationError::Form)),
            ("hello", Err(PublicationError::NotJson)),
        ] {
            assert_eq!(Request::decode(text), expected, "{text}");
        }
    }

    #[test]
    fn a_message_names_its_channel() {
        for (json, expected) in [
            (r#"{"data":1}"#, r#"{"data":1,"channel":"a\"b"}"#),
            (" { } ", r#"{"channel":"a\"b"}"#),
            ("[1]", r#"{"data":[1],"channel":"a\"b"}"#),
            ("\"{}\"", r#"{"data":"{}","channel":"a\"b"}"#),
        ] {
            let text = encode("a\"b", json.as_bytes());
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
