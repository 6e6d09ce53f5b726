//! Packets of Socket.IO 5, which travel in Engine.IO messages.
//!
//! `<type>[<attachments>-][/namespace,][<ack id>][<JSON>]`, for example `2["hello",1]` or
//! `51-/another,12["hello",{"_placeholder":true,"num":0}]` (Socket.IO protocol, "Packet
//! encoding"). The `4` of the Engine.IO message is no part of it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{channel::is_reserved_event, error::DecodeError};

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
        let _ = (text, is_reserved_event as fn(&str) -> bool, RawValue::NULL);
        Err(DecodeError::SocketIoType)
    }
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
    let (mut packet, _) = (start('2', '5', namespace, attachments), ());
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
    let mut packet = start('3', '6', namespace, attachments);
    packet.push_str(&ack.to_string());
    packet.push('[');
    packet.push_str(args);
    packet.push(']');
    packet
}

/// The packet that lets a client in, `0{"sid":"..."}`.
pub fn encode_connect(namespace: &str, sid: &str) -> String {
    let mut packet = start('0', '0', namespace, 0);
    packet.push_str(r#"{"sid":"#);
    packet.push_str(&json_string(sid));
    packet.push('}');
    packet
}

/// The packet that keeps a client out, `4{"message":"..."}`; `data` is a JSON text.
pub fn encode_connect_error(namespace: &str, message: &str, data: Option<&str>) -> String {
    let mut packet = start('4', '4', namespace, 0);
    packet.push_str(r#"{"message":"#);
    packet.push_str(&json_string(message));
    if let Some(data) = data {
        packet.push_str(r#","data":"#);
        packet.push_str(data);
    }
    packet.push('}');
    packet
}

/// The packet that takes a client out of a namespace, `1`.
pub fn encode_disconnect(namespace: &str) -> String {
    start('1', '1', namespace, 0)
}

fn start(plain: char, binary: char, namespace: &str, attachments: usize) -> String {
    let mut packet = String::new();
    if attachments == 0 {
        packet.push(plain);
    } else {
        packet.push(binary);
        packet.push_str(&attachments.to_string());
        packet.push('-');
    }
    if namespace != "/" {
        packet.push_str(namespace);
        packet.push(',');
    }
    packet
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("every string is JSON")
}
