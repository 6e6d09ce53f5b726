//! Messages between nodes, for clients that have reached a node other than their session's.
//!
//! The node that a client has reached is the *ingress* of its request, the node of its session the
//! *owner*. Every message travels in one `envelope`, which names the sending node and the epoch of
//! its link to Redis. An epoch begins when a node has connected to Redis, and rises with each
//! connection; the receiver of a new epoch ends everything that the sender began before it.
//!
//! Nodes of version 0.2.0 have another form, without epochs. A node speaks it until it
//! knows that the other node understands the envelope, which it asks with a greeting that either
//! version can read: see [`Kind::Hello`].
//!
//! Nodes that share a secret wrap each message in a MAC of it ([`SharedSecret`]), in either form.

mod authentication;
mod envelope;
mod first;
mod refusal;

use bytes::Bytes;

pub use self::authentication::SharedSecret;
use self::refusal::Refusal;
use crate::{
    answer::{Answer, PollBody},
    payload::Content,
};

/// Something that one node says to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The node that says it.
    pub node: u32,
    /// The epoch of its link to Redis; `None` from a node of version 0.2.0, and in its form.
    pub epoch: Option<u32>,
    /// The number that the ingress gave the request.
    pub number: u64,
    /// The content.
    pub kind: Kind,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Form {
    /// As version 0.2.0 reads it.
    First,
    /// In the envelope.
    Envelope,
}

/// The content of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// To the owner: a request of a client.
    Ask {
        /// The session's id.
        sid: String,
        /// The wish of its client.
        wish: Wish,
    },
    /// To the owner: the client of a poll that was not answered went away.
    Gone,
    /// To the owner: the ingress is about to go, so the poll is to be answered without waiting.
    Enough,
    /// To the owner: the answer to a poll may not have reached its client. Version 0.2.0 has no
    /// word for it.
    Lost {
        /// The session's id.
        sid: String,
        /// The fate of the answer.
        loss: AnswerLoss,
    },
    /// To the ingress: the answer to the request.
    Answer(Answer),
    /// To the owner: of the WebSocket that the request brought.
    Forth(Flow),
    /// To the ingress: the same.
    Back(Flow),
    /// Are you there? In the first form, the number says which envelope and which epoch the sender
    /// has; version 0.2.0 returns the number unread.
    Hello {
        /// Whether the sender has just connected to Redis, after its connection was lost.
        /// Everything that was begun with it before has ended.
        is_new_link: bool,
    },
    /// I am.
    Here,
}

/// The wish of a client for its session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Packets, as soon as there are some.
    Poll {
        /// As in [`Handshake::stamp`](crate::Handshake::stamp). The first form has no room for it.
        stamp: Option<u64>,
    },
    /// To bring packets.
    Post(Bytes),
    /// To go on over a WebSocket. What it has sent on it already.
    Upgrade(Bytes),
    /// To begin, as Socket.IO 0.9 does, over a WebSocket. What it has sent on it already.
    Attach(Bytes),
    /// To end the session.
    Goodbye,
}

/// The fate of an answer that a client may not have.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AnswerLoss {
    /// The client does not have it.
    Certain,
    /// The system took the answer, and then the client or a proxy reset the connection. Only a
    /// repetition of the poll with this stamp says that the client does not have it.
    IfRepeated(u64),
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

/// Why a message is skipped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// An envelope of a later version.
    #[error("an envelope of version {0}")]
    Version(u8),
    /// A kind that only a later version knows.
    #[error("a message of kind {0}")]
    Kind(u16),
    /// It has a MAC, and this node no secret to check it with.
    #[error("a message with a MAC, and no secret is set here")]
    UnexpectedMac,
    /// It has no MAC, and the nodes share a secret.
    #[error("a message without a MAC")]
    MissingMac,
    /// Its MAC is not of this secret, this receiver and this message.
    #[error("a message with a wrong MAC")]
    WrongMac,
    /// Its MAC is right, and it has come before, or later ones have.
    #[error("a message that is repeated")]
    Repeated,
    /// Nothing that a node writes.
    #[error("no message")]
    Malformed,
}

impl Message {
    /// Writes the message; `None` if it cannot be said in that form.
    pub fn encode(&self, form: Form) -> Option<Vec<u8>> {
        match form {
            Form::First => first::encode(self),
            Form::Envelope => Some(envelope::encode(self)),
        }
    }

    /// Reads a message of either form.
    ///
    /// # Errors
    /// Why it is to be skipped.
    pub fn decode(bytes: &Bytes) -> Result<Self, Unreadable> {
        match bytes.first() {
            Some(&envelope::MAGIC) => envelope::decode(bytes),
            Some(&authentication::MAGIC) => Err(Unreadable::UnexpectedMac),
            _ => first::decode(bytes).ok_or(Unreadable::Malformed),
        }
    }

    /// Whether the sender understands the envelope.
    pub const fn form(&self) -> Form {
        match self.epoch {
            Some(_) => Form::Envelope,
            None => Form::First,
        }
    }
}

const fn packets(content: Content, bytes: Bytes) -> Kind {
    Kind::Answer(Answer::Packets(PollBody { content, bytes }))
}

fn refused(refusal: Refusal) -> Kind {
    Kind::Answer(Answer::Refused(refusal.into()))
}

/// Appends a session id behind its length.
fn put_sid(out: &mut Vec<u8>, sid: &str) {
    let length = u8::try_from(sid.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend_from_slice(&sid.as_bytes()[..usize::from(length)]);
}

/// Takes a session id and its length from the front.
fn take_sid(rest: &mut Bytes) -> Option<String> {
    let length = usize::from(*rest.first()?) + 1;
    if rest.len() < length {
        return None;
    }
    let sid = rest.split_to(length);
    Some(str::from_utf8(&sid[1..]).ok()?.to_owned())
}

#[cfg(test)]
mod tests;
