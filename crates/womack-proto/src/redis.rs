//! What a subscriber says to Redis and hears from it: the Redis serialization protocol, version 2,
//! as far as publish and subscribe need it (Redis documentation, "Redis serialization protocol
//! specification" and "Redis Pub/sub").
//!
//! ```text
//! subscriber  *2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n
//! redis       *3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n
//! redis       *3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10\r\n{"data":1}\r\n
//! ```
//!
//! Version 2 is enough, and every Redis has it: a subscriber asks for nothing but subscriptions.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Longest string that is taken, which is what Redis itself takes by default.
const MAX_STRING: usize = 512 << 20;
/// Longest line that is taken: a status, a number or an error.
const MAX_LINE: usize = 64 << 10;

/// One thing that Redis says.
#[derive(Debug, Eq, PartialEq)]
pub enum Reply {
    /// Something was published.
    Message(Message),
    /// A subscription has begun or ended.
    Confirmed(Confirmation),
    /// Redis answers a ping.
    Pong,
    /// A command that has another answer was done.
    Done,
    /// A command was refused, for this reason.
    Refused(String),
}

/// A published message, as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    bytes: Bytes,
    channel: Range<u32>,
    payload: Range<u32>,
    by_pattern: bool,
}

impl Message {
    /// The Redis channel; empty if it is no text, which no channel that was asked for is.
    pub fn channel(&self) -> &str {
        str::from_utf8(self.part(&self.channel)).unwrap_or_default()
    }

    /// What was published.
    pub fn payload(&self) -> &[u8] {
        self.part(&self.payload)
    }

    /// Whether it came because a pattern matched the channel.
    pub const fn is_by_pattern(&self) -> bool {
        self.by_pattern
    }

    /// How many bytes it took on the wire.
    pub const fn wire_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn part(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }
}

/// A subscription that has begun or ended.
#[derive(Debug, Eq, PartialEq)]
pub struct Confirmation {
    /// What became of it.
    pub verb: Verb,
    /// The channel or pattern; empty when there was none to end.
    pub name: Bytes,
}

/// What can be done with a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// Begin it, of a channel.
    Subscribe,
    /// End it.
    Unsubscribe,
    /// Begin it, of a pattern.
    SubscribePattern,
    /// Begin it, of a channel that one shard of a cluster has for itself.
    SubscribeShard,
    /// End it.
    UnsubscribeShard,
}

impl Verb {
    /// The command.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::SubscribePattern => "PSUBSCRIBE",
            Self::SubscribeShard => "SSUBSCRIBE",
            Self::UnsubscribeShard => "SUNSUBSCRIBE",
        }
    }
}

/// What came is none of what Redis says to a subscriber.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not what redis says to a subscriber")]
pub struct NotAReply;

/// Appends a command to `out`.
pub fn command<'a>(out: &mut Vec<u8>, name: &str, arguments: impl Iterator<Item = &'a str>) {
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
/// # Errors
/// What came cannot be understood, so that nothing after it can be either.
pub fn decode(input: &mut BytesMut) -> Result<Option<Reply>, NotAReply> {
    let mut cursor = Cursor {
        bytes: input,
        at: 0,
    };
    let found = match cursor.reply() {
        Ok(found) => found,
        Err(Stop::Incomplete) => return Ok(None),
        Err(Stop::Wrong) => return Err(NotAReply),
    };
    let end = cursor.at;
    let bytes = input.split_to(end).freeze();
    Ok(Some(match found {
        Found::Message {
            channel,
            payload,
            by_pattern,
        } => Reply::Message(Message {
            channel: narrow(channel),
            payload: narrow(payload),
            by_pattern,
            bytes,
        }),
        Found::Confirmed { verb, name } => Reply::Confirmed(Confirmation {
            verb,
            name: bytes.slice(name),
        }),
        Found::Pong => Reply::Pong,
        Found::Done => Reply::Done,
        Found::Refused(reason) => {
            Reply::Refused(String::from_utf8_lossy(&bytes[reason]).into_owned())
        }
    }))
}

/// A frame has three strings of at most [`MAX_STRING`], and their heads.
fn narrow(range: Range<usize>) -> Range<u32> {
    let narrow = |at| u32::try_from(at).expect("a frame is far shorter than 4 GiB");
    narrow(range.start)..narrow(range.end)
}

/// What a frame is, and where its parts are.
enum Found {
    Message {
        channel: Range<usize>,
        payload: Range<usize>,
        by_pattern: bool,
    },
    Confirmed {
        verb: Verb,
        name: Range<usize>,
    },
    Pong,
    Done,
    Refused(Range<usize>),
}

enum Stop {
    Incomplete,
    Wrong,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn reply(&mut self) -> Result<Found, Stop> {
        match self.bytes.first() {
            None => Err(Stop::Incomplete),
            Some(b'*') => self.list(),
            Some(b'+') => {
                let status = self.line()?;
                let is_pong = &self.bytes[status] == b"PONG";
                Ok(if is_pong { Found::Pong } else { Found::Done })
            }
            Some(b'-') => Ok(Found::Refused(self.line()?)),
            Some(b':') => self.number(b':').map(|_| Found::Done),
            Some(b'$') => self.string().map(|_| Found::Done),
            Some(_) => Err(Stop::Wrong),
        }
    }

    fn list(&mut self) -> Result<Found, Stop> {
        let length = self.number(b'*')?;
        if !(2..=4).contains(&length) {
            return Err(Stop::Wrong);
        }
        let kind = self.string()?;
        match (&self.bytes[kind], length) {
            (b"message" | b"smessage", 3) => self.message(false),
            (b"pmessage", 4) => {
                self.string()?;
                self.message(true)
            }
            (b"subscribe", 3) => self.confirmed(Verb::Subscribe),
            (b"unsubscribe", 3) => self.confirmed(Verb::Unsubscribe),
            (b"psubscribe", 3) => self.confirmed(Verb::SubscribePattern),
            (b"ssubscribe", 3) => self.confirmed(Verb::SubscribeShard),
            (b"sunsubscribe", 3) => self.confirmed(Verb::UnsubscribeShard),
            (b"pong", 2) => self.string().map(|_| Found::Pong),
            _ => Err(Stop::Wrong),
        }
    }

    fn message(&mut self, by_pattern: bool) -> Result<Found, Stop> {
        let (channel, payload) = (self.string()?, self.string()?);
        Ok(Found::Message {
            channel,
            payload,
            by_pattern,
        })
    }

    fn confirmed(&mut self, verb: Verb) -> Result<Found, Stop> {
        let name = self.string()?;
        self.number(b':')?;
        Ok(Found::Confirmed { verb, name })
    }

    /// A string, which may be none.
    fn string(&mut self) -> Result<Range<usize>, Stop> {
        let length = self.number(b'$')?;
        if length == -1 {
            return Ok(self.at..self.at);
        }
        let length = usize::try_from(length).map_err(|_| Stop::Wrong)?;
        if length > MAX_STRING {
            return Err(Stop::Wrong);
        }
        let (start, end) = (self.at, self.at + length);
        match self.bytes.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Stop::Wrong),
            None => return Err(Stop::Incomplete),
        }
        self.at = end + 2;
        Ok(start..end)
    }

    fn number(&mut self, mark: u8) -> Result<i64, Stop> {
        match self.bytes.get(self.at) {
            Some(found) if *found == mark => {}
            Some(_) => return Err(Stop::Wrong),
            None => return Err(Stop::Incomplete),
        }
        let line = self.line()?;
        let (negative, digits) = match &self.bytes[line] {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        if !(1..=18).contains(&digits.len()) {
            return Err(Stop::Wrong);
        }
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(Stop::Wrong);
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        Ok(if negative { -number } else { number })
    }

    /// What follows the mark, up to the end of the line.
    fn line(&mut self) -> Result<Range<usize>, Stop> {
        let start = self.at + 1;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Some(length) = rest.iter().take(MAX_LINE).position(|byte| *byte == b'\r') else {
            let is_too_long = rest.len() >= MAX_LINE;
            return Err(if is_too_long {
                Stop::Wrong
            } else {
                Stop::Incomplete
            });
        };
        match rest.get(length + 1) {
            Some(b'\n') => {}
            Some(_) => return Err(Stop::Wrong),
            None => return Err(Stop::Incomplete),
        }
        self.at = start + length + 2;
        Ok(start..start + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Reply>, NotAReply> {
        let mut input = BytesMut::from(text);
        let mut replies = Vec::new();
        while let Some(reply) = decode(&mut input)? {
            replies.push(reply);
        }
        Ok(replies)
    }

    #[test]
    fn commands_count_their_arguments() {
        let mut out = b"x".to_vec();
        command(&mut out, "SUBSCRIBE", ["a", "\u{e9}"].into_iter());
        let expected = "x*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$2\r\n\u{e9}\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn messages_come_by_channel_shard_or_pattern() {
        for (text, by_pattern) in [
            ("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\n\r\n{}\r\n", false),
            ("*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$4\r\n\r\n{}\r\n", false),
            (
                "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$4\r\n\r\n{}\r\n",
                true,
            ),
        ] {
            let replies = all(&text.repeat(2)).unwrap();
            assert_eq!(replies.len(), 2);
            for reply in replies {
                let Reply::Message(message) = reply else {
                    panic!("{reply:?}");
                };
                assert_eq!(message.channel(), "a");
                assert_eq!(message.payload(), b"\r\n{}");
                assert_eq!(message.is_by_pattern(), by_pattern);
                assert_eq!(message.wire_bytes(), text.len());
            }
        }
    }

    #[test]
    fn everything_else_is_told_apart() {
        let confirmed = |verb, name: &'static str| {
            Reply::Confirmed(Confirmation {
                verb,
                name: Bytes::from_static(name.as_bytes()),
            })
        };
        for (text, expected) in [
            ("+OK\r\n", Reply::Done),
            ("+PONG\r\n", Reply::Pong),
            (":7\r\n", Reply::Done),
            ("$-1\r\n", Reply::Done),
            ("*2\r\n$4\r\npong\r\n$0\r\n\r\n", Reply::Pong),
            ("-ERR no\r\n", Reply::Refused("ERR no".to_owned())),
            (
                "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
                confirmed(Verb::Subscribe, "a"),
            ),
            (
                "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
                confirmed(Verb::Unsubscribe, ""),
            ),
            (
                "*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n",
                confirmed(Verb::UnsubscribeShard, "a"),
            ),
        ] {
            assert_eq!(all(text), Ok(vec![expected]), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for text in [
            "HTTP/1.1 400\r\n",
            "*1\r\n",
            "*3\r\n+message\r\n",
            "*3\r\n$5\r\nother\r\n",
            "*4\r\n$7\r\nmessage\r\n",
            "*3\r\n$-2\r\n",
            "$5\r\nabcdefg\r\n",
            "$536870913\r\n",
            "$x\r\n",
            "$\r\n",
            ":1\rx",
        ] {
            assert_eq!(all(text), Err(NotAReply), "{text:?}");
        }
        assert_eq!(all(&"+".repeat(MAX_LINE + 1)), Err(NotAReply));
    }
}
