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
    /// Something was published that is longer than messages may be, and is passed over.
    TooLong(TooLong),
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

/// A message that is passed over for its length.
#[derive(Debug, Eq, PartialEq)]
pub struct TooLong {
    /// The channel that it was published on.
    pub channel: Bytes,
    /// The length of its payload, in bytes.
    pub bytes: usize,
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

/// Understands what Redis says, one thing after the other.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes of a message that is passed over which have still to come.
    passed_over: usize,
}

impl Decoder {
    /// Takes the next thing that Redis says out of `input`; `None` until all of it is there.
    ///
    /// Attributes, and pushes about anything but subscriptions, are taken out and passed over. So
    /// is a message with more than `max_message_bytes`, as it comes, so that it is never held.
    ///
    /// # Errors
    /// What came cannot be understood, so that nothing after it can be either.
    pub fn decode(
        &mut self,
        input: &mut BytesMut,
        max_message_bytes: usize,
    ) -> Result<Option<Reply>, NotAReply> {
        loop {
            self.pass_over(input);
            if self.passed_over > 0 {
                return Ok(None);
            }
            let mut cursor = Cursor::new(input, max_message_bytes);
            let found = match cursor.reply() {
                Ok(found) => found,
                Err(Stop::Incomplete) => return Ok(None),
                Err(Stop::Wrong) => return Err(NotAReply),
            };
            let end = cursor.position();
            match found {
                Found::Skipped => input.advance(end),
                Found::TooLong { channel, bytes } => {
                    let channel = Bytes::copy_from_slice(&input[channel]);
                    self.passed_over = end;
                    self.pass_over(input);
                    return Ok(Some(Reply::TooLong(TooLong { channel, bytes })));
                }
                found => return Ok(Some(reply(found, input.split_to(end).freeze()))),
            }
        }
    }

    /// Takes out of `input` what is there of a message that is passed over.
    fn pass_over(&mut self, input: &mut BytesMut) {
        let there = self.passed_over.min(input.len());
        input.advance(there);
        self.passed_over -= there;
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
        Found::Done | Found::Skipped | Found::TooLong { .. } => Reply::Done,
        Found::Refused(reason) => {
            Reply::Refused(String::from_utf8_lossy(&bytes[reason]).into_owned())
        }
    }
}

#[cfg(test)]
mod tests;
