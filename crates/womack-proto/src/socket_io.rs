//! Packets of Socket.IO 4 and 5, which travel in Engine.IO messages.
//!
//! `<type>[<attachments>-][/namespace,][<ack id>][<JSON>]`, for example `2["hello",1]` or
//! `51-/another,12["hello",{"_placeholder":true,"num":0}]` (Socket.IO protocol, "Packet
//! encoding"). The `4` of the Engine.IO message is no part of it. Socket.IO 4, which revision
//! [`V3`](Revision::V3) speaks, has other payloads where a namespace is joined: none but a query
//! after the name, `0/another?token=1,`, and text where 5 has an object that says what is wrong.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{channel::is_reserved_event, error::DecodeError, handshake::Revision};

/// The characters that JSON allows between its tokens.
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A Socket.IO packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet<'a> {
    /// The path of the namespace that it is for.
    pub namespace: &'a str,
    /// What it says.
    pub body: Body<'a>,
}

/// What a Socket.IO packet says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body<'a> {
    /// `0`: asks to join the namespace, or grants it.
    Connect {
        /// A JSON object: credentials, or the session id.
        payload: Option<&'a str>,
    },
    /// `1`: leaves the namespace.
    Disconnect,
    /// `2`, with attachments `5`: an event.
    Event {
        /// The number to acknowledge it by.
        ack: Option<u64>,
        /// Its name.
        name: Cow<'a, str>,
        /// Its arguments: JSON texts separated by commas.
        args: &'a str,
        /// How many binary messages follow.
        attachments: usize,
    },
    /// `3`, with attachments `6`: acknowledges an event.
    Ack {
        /// The number that the event had.
        id: u64,
        /// The answer: JSON texts separated by commas.
        args: &'a str,
        /// How many binary messages follow.
        attachments: usize,
    },
    /// `4`: refuses a connect.
    ConnectError {
        /// JSON that says why.
        payload: &'a str,
    },
}

impl<'a> Packet<'a> {
    /// Reads the text of one packet.
    ///
    /// # Errors
    /// Everything but a valid packet of the form above.
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        let mut characters = text.chars();
        let kind = characters.next().ok_or(DecodeError::EmptyPacket)?;
        let mut rest = characters.as_str();
        let mut attachments = 0;
        if matches!(kind, '5' | '6') {
            let (count, after) = split_digits(rest);
            attachments = count.parse().map_err(|_| DecodeError::AttachmentCount)?;
            rest = after
                .strip_prefix('-')
                .ok_or(DecodeError::AttachmentCount)?;
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        let (digits, payload) = split_digits(rest);
        let ack = match digits {
            "" => None,
            _ => Some(digits.parse().map_err(|_| DecodeError::AckId)?),
        };
        let body = match kind {
            '0' => Body::Connect {
                payload: decode_connect(payload)?,
            },
            '1' if payload.is_empty() => Body::Disconnect,
            '1' => return Err(DecodeError::Payload),
            '2' | '5' => {
                let (name, args) = decode_event(payload)?;
                Body::Event {
                    ack,
                    name,
                    args,
                    attachments,
                }
            }
            '3' | '6' => {
                let id = ack.ok_or(DecodeError::AckId)?;
                Body::Ack {
                    id,
                    args: inside_array(raw(payload)?)?,
                    attachments,
                }
            }
            '4' => Body::ConnectError {
                payload: raw(payload)?,
            },
            _ => return Err(DecodeError::SocketIoType),
        };
        Ok(Self { namespace, body })
    }
}

/// The namespace that a client wants to join, and the query after its name as a JSON object of
/// strings. Only clients of Socket.IO 4 send one; of repeated names the last counts.
pub fn split_query(revision: Revision, namespace: &str) -> (&str, Option<String>) {
    let Some((path, query)) = namespace.split_once('?') else {
        return (namespace, None);
    };
    if revision != Revision::V3 {
        return (namespace, None);
    }
    (path, Some(query_object(query)))
}

/// A query as a JSON object of strings; of repeated names the last counts.
pub(crate) fn query_object(query: &str) -> String {
    let pairs: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    serde_json::to_string(&pairs).expect("a map of strings is JSON")
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn decode_connect(payload: &str) -> Result<Option<&str>, DecodeError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let object = raw(payload)?;
    if !object.starts_with('{') {
        return Err(DecodeError::Payload);
    }
    Ok(Some(object))
}

/// The name of an event, and its arguments as they stand.
fn decode_event(payload: &str) -> Result<(Cow<'_, str>, &str), DecodeError> {
    let First(name) = serde_json::from_str(payload).map_err(|_| DecodeError::Payload)?;
    let name = name.get();
    let elements = inside_array(payload)?;
    let args = elements.get(name.len()..).ok_or(DecodeError::Payload)?;
    let args = args.trim_start_matches(WHITESPACE);
    let args = args
        .strip_prefix(',')
        .unwrap_or("")
        .trim_start_matches(WHITESPACE);

    let name = match name.as_bytes() {
        [b'"', .., b'"'] if !name.contains('\\') => Cow::Borrowed(&name[1..name.len() - 1]),
        [b'"', ..] => Cow::Owned(serde_json::from_str(name).map_err(|_| DecodeError::Payload)?),
        [b'-' | b'0'..=b'9', ..] => Cow::Borrowed(name),
        _ => return Err(DecodeError::Payload),
    };
    if is_reserved_event(&name) {
        return Err(DecodeError::ReservedEvent);
    }
    Ok((name, args))
}

/// The first element of a JSON array. The others are checked, but not kept.
struct First<'a>(&'a RawValue);

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = First<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with a name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                let first = array
                    .next_element()?
                    .ok_or_else(|| Error::invalid_length(0, &self))?;
                while array.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(Elements)
    }
}

/// A JSON text without the space around it.
fn raw(json: &str) -> Result<&str, DecodeError> {
    let value: &RawValue = serde_json::from_str(json).map_err(|_| DecodeError::Payload)?;
    Ok(value.get())
}

/// What is between the brackets of a valid JSON text that should be an array.
fn inside_array(json: &str) -> Result<&str, DecodeError> {
    let inside = json.trim_matches(WHITESPACE).strip_prefix('[');
    let inside = inside.and_then(|inside| inside.strip_suffix(']'));
    inside
        .map(|inside| inside.trim_matches(WHITESPACE))
        .ok_or(DecodeError::Payload)
}

/// The packet of an event, `2["hello",1]`, to follow the `4` of an Engine.IO message. `args` is
/// JSON texts separated by commas, or empty; `attachments` counts the binary messages that follow.
pub fn encode_event(
    namespace: &str,
    ack: Option<u64>,
    name: &str,
    args: &str,
    attachments: usize,
) -> String {
    let mut packet = start(&kind("2", "5", attachments), namespace);
    if let Some(ack) = ack {
        packet.push_str(&ack.to_string());
    }
    packet.push('[');
    packet.push_str(&json_string(name));
    if !args.is_empty() {
        packet.push(',');
        packet.push_str(args);
    }
    packet.push(']');
    packet
}

/// The packet that acknowledges the event `ack`, `37[1]`, to follow the `4` of an Engine.IO
/// message. `args` and `attachments` are as in [`encode_event`].
pub fn encode_ack(namespace: &str, ack: u64, args: &str, attachments: usize) -> String {
    let mut packet = start(&kind("3", "6", attachments), namespace);
    packet.push_str(&ack.to_string());
    packet.push('[');
    packet.push_str(args);
    packet.push(']');
    packet
}

/// The packet that lets a client in, `0{"sid":"..."}`; `0` for those who know their id already.
pub fn encode_connect(revision: Revision, namespace: &str, sid: &str) -> String {
    let mut packet = start("0", namespace);
    if revision != Revision::V3 {
        packet.push_str(r#"{"sid":"#);
        packet.push_str(&json_string(sid));
        packet.push('}');
    }
    packet
}

/// The packet that keeps a client out, `4{"message":"..."}`; `data` is a JSON text.
pub fn encode_connect_error(namespace: &str, message: &str, data: Option<&str>) -> String {
    let mut packet = start("4", namespace);
    packet.push_str(r#"{"message":"#);
    packet.push_str(&json_string(message));
    if let Some(data) = data {
        packet.push_str(r#","data":"#);
        packet.push_str(data);
    }
    packet.push('}');
    packet
}

/// The packet that keeps a client of Socket.IO 4 out, `4"..."`: `data`, which is a JSON text, or
/// else the message.
pub fn encode_error(namespace: &str, message: &str, data: Option<&str>) -> String {
    let mut packet = start("4", namespace);
    match data {
        Some(data) => packet.push_str(data),
        None => packet.push_str(&json_string(message)),
    }
    packet
}

/// The packet that takes a client out of a namespace, `1`.
pub fn encode_disconnect(namespace: &str) -> String {
    start("1", namespace)
}

/// Type and number of attachments; `plain` is the type without any, `binary` the one with.
fn kind(plain: &str, binary: &str, attachments: usize) -> String {
    match attachments {
        0 => plain.to_owned(),
        _ => format!("{binary}{attachments}-"),
    }
}

fn start(kind: &str, namespace: &str) -> String {
    match namespace {
        "/" => kind.to_owned(),
        _ => format!("{kind}{namespace},"),
    }
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("every string is JSON")
}

#[cfg(test)]
mod tests;
