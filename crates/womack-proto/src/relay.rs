//! What nodes say to one another of clients that have reached a node other than their session's.
//!
//! The node that a client has reached is the *edge* of its request, the node of its session the
//! *home*. A message begins with what it is, the node that sent it and the number that the edge gave
//! the request; the rest is up to its kind:
//!
//! ```text
//! 'p' | node, 4 bytes | number, 8 bytes | length of the sid, 1 byte | sid | body
//! ```
//!
//! Numbers are big-endian. What cannot be read, such as a kind that only a later version knows, is
//! no message, and nobody answers it.

use bytes::{BufMut, Bytes};

use crate::payload::Content;

/// Something that one node says to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The node that says it.
    pub node: u32,
    /// What the edge calls the request.
    pub number: u64,
    /// What is said.
    pub kind: Kind,
}

/// What one node says to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// To the home: what a client asks for.
    Ask {
        /// The session's id.
        sid: String,
        /// What its client wants.
        wish: Wish,
    },
    /// To the home: the client of a poll went away.
    Gone,
    /// To the home: the edge is about to go, so the poll is to be answered without waiting.
    Enough,
    /// To the edge: what the request is answered.
    Answer(Answer),
    /// To the home: of the WebSocket that the request brought.
    Forth(Flow),
    /// To the edge: the same.
    Back(Flow),
    /// Are you there?
    Hello,
    /// I am.
    Here,
}

/// What a client wants of its session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Packets, as soon as there are some.
    Poll,
    /// To bring packets.
    Post(Bytes),
    /// To go on over a WebSocket. What it has sent on it already.
    Upgrade(Bytes),
    /// To begin, as Socket.IO 0.9 does, over a WebSocket. What it has sent on it already.
    Attach(Bytes),
    /// To end the session.
    Goodbye,
}

/// What a request is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// A poll: packets.
    Packets(Content, Bytes),
    /// A POST: its packets were taken.
    Taken,
    /// There is no such session, or no more.
    UnknownSid,
    /// The request has no place here.
    BadRequest,
    /// The session was ended, and its client is to open another.
    Ended,
    /// The home has no time: the request was not brought to the session.
    Unavailable,
}

/// A part of a stream of bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Flow {
    /// The next bytes.
    Bytes(Bytes),
    /// So many more bytes may follow.
    Room(u32),
    /// No more bytes follow.
    End,
}

impl Message {
    /// Writes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let (letter, sid, rest) = self.kind.parts();
        out.put_u8(letter);
        out.put_u32(self.node);
        out.put_u64(self.number);
        if let Some(sid) = sid {
            let length = u8::try_from(sid.len()).unwrap_or(u8::MAX);
            out.put_u8(length);
            out.extend_from_slice(&sid.as_bytes()[..usize::from(length)]);
        }
        match rest {
            Rest::Bytes(bytes) => out.extend_from_slice(bytes),
            Rest::Number(number) => out.put_u32(number),
        }
        out
    }

    /// Reads a message; `None` for anything else.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let (letter, rest) = bytes.split_first()?;
        let (node, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        Some(Self {
            node: u32::from_be_bytes(*node),
            number: u64::from_be_bytes(*number),
            kind: Kind::decode(*letter, bytes.slice_ref(rest))?,
        })
    }
}

enum Rest<'a> {
    Bytes(&'a [u8]),
    Number(u32),
}

impl Kind {
    fn parts(&self) -> (u8, Option<&str>, Rest<'_>) {
        let (letter, sid, bytes): (_, _, &[u8]) = match self {
            Self::Ask { sid, wish } => match wish {
                Wish::Poll => (b'p', Some(sid), &[]),
                Wish::Post(body) => (b'q', Some(sid), body),
                Wish::Upgrade(early) => (b'u', Some(sid), early),
                Wish::Attach(early) => (b'a', Some(sid), early),
                Wish::Goodbye => (b'g', Some(sid), &[]),
            },
            Self::Gone => (b'x', None, &[]),
            Self::Enough => (b'y', None, &[]),
            Self::Answer(answer) => match answer {
                Answer::Packets(Content::Text, body) => (b'T', None, body),
                Answer::Packets(Content::Bytes, body) => (b'B', None, body),
                Answer::Packets(Content::Script, body) => (b'S', None, body),
                Answer::Taken => (b'K', None, &[]),
                Answer::UnknownSid => (b'N', None, &[]),
                Answer::BadRequest => (b'W', None, &[]),
                Answer::Ended => (b'G', None, &[]),
                Answer::Unavailable => (b'U', None, &[]),
            },
            Self::Forth(Flow::Bytes(bytes)) => (b'f', None, bytes),
            Self::Forth(Flow::Room(room)) => return (b'r', None, Rest::Number(*room)),
            Self::Forth(Flow::End) => (b'e', None, &[]),
            Self::Back(Flow::Bytes(bytes)) => (b'F', None, bytes),
            Self::Back(Flow::Room(room)) => return (b'R', None, Rest::Number(*room)),
            Self::Back(Flow::End) => (b'E', None, &[]),
            Self::Hello => (b'h', None, &[]),
            Self::Here => (b'H', None, &[]),
        };
        (letter, sid.map(String::as_str), Rest::Bytes(bytes))
    }

    fn decode(letter: u8, mut rest: Bytes) -> Option<Self> {
        let room = |rest: &Bytes| Some(Flow::Room(u32::from_be_bytes(rest[..].try_into().ok()?)));
        let kind = match letter {
            b'f' => return Some(Self::Forth(Flow::Bytes(rest))),
            b'F' => return Some(Self::Back(Flow::Bytes(rest))),
            b'r' => return room(&rest).map(Self::Forth),
            b'R' => return room(&rest).map(Self::Back),
            b'T' => return Some(Self::Answer(Answer::Packets(Content::Text, rest))),
            b'B' => return Some(Self::Answer(Answer::Packets(Content::Bytes, rest))),
            b'S' => return Some(Self::Answer(Answer::Packets(Content::Script, rest))),
            b'p' | b'q' | b'u' | b'a' | b'g' => {
                let sid = take_sid(&mut rest)?;
                let wish = match letter {
                    b'q' => Wish::Post(rest),
                    b'u' => Wish::Upgrade(rest),
                    b'a' => Wish::Attach(rest),
                    b'p' if rest.is_empty() => Wish::Poll,
                    b'g' if rest.is_empty() => Wish::Goodbye,
                    _ => return None,
                };
                return Some(Self::Ask { sid, wish });
            }
            b'x' => Self::Gone,
            b'y' => Self::Enough,
            b'K' => Self::Answer(Answer::Taken),
            b'N' => Self::Answer(Answer::UnknownSid),
            b'W' => Self::Answer(Answer::BadRequest),
            b'G' => Self::Answer(Answer::Ended),
            b'U' => Self::Answer(Answer::Unavailable),
            b'e' => Self::Forth(Flow::End),
            b'E' => Self::Back(Flow::End),
            b'h' => Self::Hello,
            b'H' => Self::Here,
            _ => return None,
        };
        rest.is_empty().then_some(kind)
    }
}

fn take_sid(rest: &mut Bytes) -> Option<String> {
    let length = usize::from(*rest.first()?) + 1;
    if rest.len() < length {
        return None;
    }
    let sid = rest.split_to(length);
    Some(str::from_utf8(&sid[1..]).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind) -> Message {
        Message {
            node: 0x0102_0304,
            number: 5,
            kind,
        }
    }

    #[test]
    fn requests_have_the_bytes_that_are_written_down() {
        let kind = Kind::Ask {
            sid: "abc".to_owned(),
            wish: Wish::Post(Bytes::from_static(b"40")),
        };
        let bytes = b"q\x01\x02\x03\x04\0\0\0\0\0\0\0\x05\x03abc40";
        assert_eq!(message(kind.clone()).encode(), bytes);
        assert_eq!(
            Message::decode(&Bytes::from_static(bytes)),
            Some(message(kind))
        );
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_no_message() {
        let sid = "abc".to_owned();
        let poll = Kind::Ask {
            sid,
            wish: Wish::Poll,
        };
        for kind in [poll, Kind::Back(Flow::Room(7)), Kind::Hello] {
            let whole = Bytes::from(message(kind).encode());
            for at in 0..whole.len() {
                assert_eq!(Message::decode(&whole.slice(..at)), None, "{at}");
            }
            let longer = [&whole[..], b"!"].concat();
            assert_eq!(Message::decode(&longer.into()), None);
        }
        assert_eq!(Message::decode(&Bytes::from_static(&[b'?'; 32])), None);
    }
}
