//! Commands of a subscriber to Redis, and the answers to them: the Redis serialization protocol,
//! versions 2 and 3, as far as publish and subscribe need it (Redis documentation, "Redis
//! serialization protocol specification" and "Redis Pub/sub").
//!
//! ```text
//! subscriber  *2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n
//! redis       %7\r\n$6\r\nserver\r\n$5\r\nredis\r\n...
//! subscriber  *2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n
//! redis       >3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n
//! redis       >3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10\r\n{"data":1}\r\n
//! ```
//!
//! Version 3 tells messages (`>`, a push) from answers, so that a subscriber may send any command
//! and gets its answer in order. Confirmations of subscriptions are pushes too, one for each name.
//! In version 2, which a Redis before 6 speaks, both are arrays (`*`), and a subscriber may send
//! nothing but subscriptions and `PING`. The decoder reads either.

mod cursor;
mod verb;

use bytes::{Buf, Bytes, BytesMut};
use womack_proto::subscriber::Message;

use self::cursor::{Cursor, Found, Stop};
pub use self::verb::Verb;

/// One thing that Redis says.
#[derive(Debug, Eq, PartialEq)]
pub enum Reply {
    /// Something was published.
    Message(Message),
    /// A subscription has begun or ended.
    Confirmed(Confirmation),
    /// Redis answers a ping.
    Pong,
    /// The answer to a command is a text, such as that to `INFO`.
    Text(Bytes),
    /// The answer to a command is anything else, such as the map that answers `HELLO`.
    Done,
    /// A command was refused, for this reason.
    Refused(String),
}

/// A subscription that has begun or ended.
#[derive(Debug, Eq, PartialEq)]
pub struct Confirmation {
    /// What became of it.
    pub verb: Verb,
    /// The channel or pattern; empty when there was none to end.
    pub name: Bytes,
}

/// What came is none of what Redis says to a subscriber.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not what redis says to a subscriber")]
pub struct NotAReply;

/// Appends a command to `out`.
pub(crate) fn command<'a>(out: &mut Vec<u8>, name: &str, arguments: impl Iterator<Item = &'a str>) {
    let at = out.len();
    string(out, name);
    let mut count = 1;
    for argument in arguments {
        string(out, argument);
        count += 1;
    }
    let head = format!("*{count}\r\n");
    out.splice(at..at, head.bytes());
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Takes the next thing that Redis says out of `input`; `None` until all of it is there.
///
/// Attributes, and pushes about anything but subscriptions, are taken out and passed over.
///
/// # Errors
/// What came cannot be understood, so that nothing after it can be either.
pub fn decode(input: &mut BytesMut) -> Result<Option<Reply>, NotAReply> {
    loop {
        let mut cursor = Cursor::new(input);
        let found = match cursor.reply() {
            Ok(found) => found,
            Err(Stop::Incomplete) => return Ok(None),
            Err(Stop::Wrong) => return Err(NotAReply),
        };
        let end = cursor.position();
        if matches!(found, Found::Skipped) {
            input.advance(end);
            continue;
        }
        return Ok(Some(reply(found, input.split_to(end).freeze())));
    }
}

fn reply(found: Found, bytes: Bytes) -> Reply {
    match found {
        Found::Message {
            channel,
            payload,
            by_pattern,
        } => Reply::Message(Message::new(bytes, channel, payload, by_pattern)),
        Found::Confirmed { verb, name } => Reply::Confirmed(Confirmation {
            verb,
            name: bytes.slice(name),
        }),
        Found::Text(text) => Reply::Text(bytes.slice(text)),
        Found::Pong => Reply::Pong,
        Found::Done | Found::Skipped => Reply::Done,
        Found::Refused(reason) => {
            Reply::Refused(String::from_utf8_lossy(&bytes[reason]).into_owned())
        }
    }
}

#[cfg(test)]
mod tests;
