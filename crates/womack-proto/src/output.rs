//! What a session has to say to its caller.

use bytes::Bytes;

use crate::{error::CloseReason, event::Event, frame::Frame, rules::NamespaceId};

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this to the client.
    Send(Frame),
    /// The client wants to join a namespace: answer with
    /// [`Session::accept`](crate::Session::accept) or [`Session::refuse`](crate::Session::refuse).
    Connect {
        /// Which.
        namespace: NamespaceId,
        /// The client's credentials, a JSON object.
        auth: Option<String>,
    },
    /// The client sent an event.
    Event {
        /// Where.
        namespace: NamespaceId,
        /// What.
        event: Event,
    },
    /// The client acknowledges an event that it got.
    Ack {
        /// Where.
        namespace: NamespaceId,
        /// The number that the event had.
        id: u64,
        /// The answer: JSON texts separated by commas.
        args: String,
        /// What placeholders in the answer refer to.
        attachments: Vec<Bytes>,
    },
    /// The client left a namespace.
    Left(NamespaceId),
    /// The client sent a message; with [`Layer::EngineIo`](crate::Layer::EngineIo) only.
    Message(Message),
    /// The session is over. Nothing follows.
    Closed(CloseReason),
}

/// A message of Engine.IO alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}
