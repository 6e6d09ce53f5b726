//! Packets of Socket.IO 0.9, which has no Engine.IO beneath it.
//!
//! `<type>:[<id>[+]]:[<endpoint>][:<data>]`, for example `2::`, `1::/another` or
//! `5:1+:/another:{"name":"hello","args":[1]}` (Socket.IO protocol 1, "Encoding"). An endpoint is
//! what later revisions call a namespace; the empty one is `/`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{channel::is_reserved_event, error::DecodeError, frame::Frame};

/// The frame of the packet `2::`, a heartbeat. The server sends it first, the client answers it.
pub const HEARTBEAT: Frame = Frame::from_static(b"\x81\x032::");

/// The frame of the packet `8::`, which ends a poll that has nothing to say.
pub const NOOP: Frame = Frame::from_static(b"\x81\x038::");

/// The characters that JSON allows between its tokens.
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A packet of Socket.IO 0.9.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet<'a> {
    /// The path of the namespace that it is for.
    pub namespace: &'a str,
    /// What comes after the namespace's question mark; empty without one.
    pub query: &'a str,
    /// What the sender wants to hear about it.
    pub ack: Option<Ack>,
    /// What it says.
    pub body: Body<'a>,
}

/// How a packet is to be acknowledged.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Ack {
    /// `7`: at once, without data, since it only tells that the packet has arrived.
    Receipt(u64),
    /// `7+`: by whoever handles the packet, with data.
    Answer(u64),
}

/// What a packet of Socket.IO 0.9 says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body<'a> {
    /// `0`: leaves the namespace; without one, ends the session.
    Disconnect,
    /// `1`: asks to join the namespace, or grants it.
    Connect,
    /// `2`: the sender is alive.
    Heartbeat,
    /// `3`: a text.
    Message(&'a str),
    /// `4`: a JSON text.
    Json(&'a str),
    /// `5`: an event.
    Event {
        /// Its name.
        name: Cow<'a, str>,
        /// Its arguments: JSON texts separated by commas.
        args: &'a str,
    },
    /// `6`: acknowledges a packet.
    Ack {
        /// The number that the packet had.
        id: u64,
        /// The answer: JSON texts separated by commas.
        args: &'a str,
    },
    /// `7`: something went wrong; reason and advice are numbers.
    Error(&'a str),
    /// `8`: nothing.
    Noop,
}

impl<'a> Packet<'a> {
    /// Reads the text of one packet.
    ///
    /// # Errors
    /// Everything but a valid packet of the form above.
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        if text.is_empty() {
            return Err(DecodeError::EmptyPacket);
        }
        let (kind, rest) = text.split_once(':').ok_or(DecodeError::LegacyFields)?;
        let (id, rest) = rest.split_once(':').ok_or(DecodeError::LegacyFields)?;
        let (endpoint, data) = rest.split_once(':').unwrap_or((rest, ""));
        let (namespace, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
        let body = match kind {
            "0" => Body::Disconnect,
            "1" => Body::Connect,
            "2" => Body::Heartbeat,
            "3" => Body::Message(data),
            "4" => Body::Json(decode_json(data)?),
            "5" => decode_event(data)?,
            "6" => decode_ack(data)?,
            "7" => Body::Error(data),
            "8" => Body::Noop,
            _ => return Err(DecodeError::SocketIoType),
        };
        Ok(Self {
            namespace: if namespace.is_empty() { "/" } else { namespace },
            query,
            ack: Ack::decode(id)?,
            body,
        })
    }
}

impl Ack {
    fn decode(id: &str) -> Result<Option<Self>, DecodeError> {
        if id.is_empty() {
            return Ok(None);
        }
        let ack = match id.strip_suffix('+') {
            Some(digits) => Self::Answer(number(digits)?),
            None => Self::Receipt(number(id)?),
        };
        Ok(Some(ack))
    }
}

fn number(digits: &str) -> Result<u64, DecodeError> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number);
    number.ok_or(DecodeError::AckId)
}

fn decode_json(data: &str) -> Result<&str, DecodeError> {
    let value: &RawValue = serde_json::from_str(data).map_err(|_| DecodeError::Payload)?;
    Ok(value.get())
}

/// `{"name":"hello","args":[1]}`
fn decode_event(data: &str) -> Result<Body<'_>, DecodeError> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow)]
        args: Option<&'a RawValue>,
    }
    // Serde would take the array of the two as well.
    if !data.trim_start_matches(WHITESPACE).starts_with('{') {
        return Err(DecodeError::Payload);
    }
    let Named { name, args } = serde_json::from_str(data).map_err(|_| DecodeError::Payload)?;
    if is_reserved_event(&name) {
        return Err(DecodeError::ReservedEvent);
    }
    let args = args.map_or(Ok(""), |args| inside_array(args.get()))?;
    Ok(Body::Event { name, args })
}

/// `7` or `7+[1]`
fn decode_ack(data: &str) -> Result<Body<'_>, DecodeError> {
    let (digits, args) = data.split_once('+').unwrap_or((data, ""));
    let id = number(digits)?;
    let args = match args {
        "" => "",
        _ => inside_array(decode_json(args)?)?,
    };
    Ok(Body::Ack { id, args })
}

/// What is between the brackets of a JSON text that should be an array.
fn inside_array(json: &str) -> Result<&str, DecodeError> {
    let inside = json.strip_prefix('[');
    let inside = inside.and_then(|inside| inside.strip_suffix(']'));
    inside
        .map(|inside| inside.trim_matches(WHITESPACE))
        .ok_or(DecodeError::Payload)
}

/// The packet that lets a client in, `1::` or `1::/another`.
pub fn encode_connect(namespace: &str) -> String {
    start("1:", namespace)
}

/// The packet that takes a client out of a namespace, `0::/another`; `0::` ends its session.
pub fn encode_disconnect(namespace: &str) -> String {
    start("0:", namespace)
}

/// The packet that keeps a client out of a namespace, `7::/another:2`: it is not authorised.
pub fn encode_error(namespace: &str) -> String {
    let mut packet = start("7:", namespace);
    packet.push_str(":2");
    packet
}

/// The packet of an event, `5:::{"name":"hello","args":[1]}`. `args` is JSON texts separated by
/// commas, or empty.
pub fn encode_event(namespace: &str, ack: Option<Ack>, name: &str, args: &str) -> String {
    let kind = match ack {
        None => "5:".to_owned(),
        Some(Ack::Receipt(id)) => format!("5:{id}"),
        Some(Ack::Answer(id)) => format!("5:{id}+"),
    };
    let mut packet = start(&kind, namespace);
    packet.push_str(r#":{"name":"#);
    packet.push_str(&json_string(name));
    packet.push_str(r#","args":["#);
    packet.push_str(args);
    packet.push_str("]}");
    packet
}

/// The packet that acknowledges the packet `id`, `6:::7+[1]`. `args` is JSON texts separated by
/// commas; if it is empty, the packet tells no more than that the other has arrived.
pub fn encode_ack(namespace: &str, id: u64, args: &str) -> String {
    let mut packet = start("6:", namespace);
    packet.push(':');
    packet.push_str(&id.to_string());
    if !args.is_empty() {
        packet.push_str("+[");
        packet.push_str(args);
        packet.push(']');
    }
    packet
}

/// What comes before the published JSON in an event's packet: `5:::{"name":"hello","args":[` or,
/// in a namespace, `5::/another:{"name":"hello","args":[`. The channel is escaped as
/// `JSON.stringify` would.
pub fn event_prefix(namespace: &str, channel: &str) -> Vec<u8> {
    let mut prefix = start("5:", namespace);
    prefix.push_str(r#":{"name":"#);
    prefix.push_str(&json_string(channel));
    prefix.push_str(r#","args":["#);
    prefix.into_bytes()
}

/// What comes before the text in a message's packet: `3:::` or, in a namespace, `3::/another:`.
pub fn message_prefix(namespace: &str) -> Vec<u8> {
    let mut prefix = start("3:", namespace);
    prefix.push(':');
    prefix.into_bytes()
}

/// The frame of an event with one argument, `json`; `prefix` is the channel's [`event_prefix`].
/// It costs one allocation.
pub fn event(prefix: &[u8], json: &[u8]) -> Frame {
    Frame::text(&[prefix, json, b"]}"])
}

/// Type, id and endpoint; `kind` is the first two.
fn start(kind: &str, namespace: &str) -> String {
    match namespace {
        "/" => format!("{kind}:"),
        _ => format!("{kind}:{namespace}"),
    }
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("every string is JSON")
}

#[cfg(test)]
mod tests;
