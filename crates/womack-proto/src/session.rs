//! The protocol state of one client.

use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    error::CloseReason,
    event::Event,
    frame::Frame,
    handshake::Revision,
    rules::{Layer, NamespaceId, Rules},
    socket_io,
};

/// What the caller has to do.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this to the client.
    Send(Frame),
    /// The client wants to join a namespace: answer with [`Session::accept`] or
    /// [`Session::refuse`].
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
    /// The client sent a message; with [`Layer::EngineIo`] only.
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

/// The protocol state of one client.
///
/// Methods named `handle_*` take what arrives, the others are commands of the server or getters.
/// Commands that do not fit the state, such as accepting whom nobody announced, do nothing.
#[derive(Debug)]
pub struct Session {
    opened: Instant,
    joined: SmallVec<[NamespaceId; 4]>,
    revision: Revision,
    layer: Layer,
    is_closed: bool,
}

impl Session {
    /// A session whose open packet is just being sent.
    pub fn open(revision: Revision, layer: Layer, rules: &Rules, now: Instant) -> Self {
        let _ = rules;
        Self {
            opened: now,
            joined: SmallVec::new(),
            revision,
            layer,
            is_closed: false,
        }
    }

    /// Handles one text packet of a WebSocket.
    pub fn handle_text(&mut self, now: Instant, text: &str, rules: &Rules, out: &mut Vec<Output>) {
        let _ = (now, text, rules, out);
    }

    /// Handles one packet of a polling body: a text packet, or `b` and a binary one as base64.
    pub fn handle_polling_packet(
        &mut self,
        now: Instant,
        text: &str,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        self.handle_text(now, text, rules, out);
    }

    /// Handles one binary packet of a WebSocket.
    pub fn handle_binary(
        &mut self,
        now: Instant,
        data: Bytes,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        let _ = (now, data, rules, out);
    }

    /// Handles that time has passed: pings, or closes. Does nothing before the deadline.
    pub fn handle_timeout(&mut self, now: Instant, rules: &Rules, out: &mut Vec<Output>) {
        let _ = (now, rules, out);
    }

    /// Lets the client into a namespace that it wants to join.
    pub fn accept(
        &mut self,
        namespace: NamespaceId,
        sid: &str,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        self.joined.push(namespace);
        let packet = socket_io::encode_connect(rules.namespaces.path(namespace), sid);
        out.push(Output::Send(Frame::text(&[b"4", packet.as_bytes()])));
    }

    /// Keeps the client out of a namespace that it wants to join. `data` is a JSON text.
    pub fn refuse(
        &mut self,
        namespace: NamespaceId,
        message: &str,
        data: Option<&str>,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        let path = rules.namespaces.path(namespace);
        let packet = socket_io::encode_connect_error(path, message, data);
        out.push(Output::Send(Frame::text(&[b"4", packet.as_bytes()])));
    }

    /// Takes the client out of a namespace and tells it.
    pub fn leave(&mut self, namespace: NamespaceId, rules: &Rules, out: &mut Vec<Output>) {
        let _ = (namespace, rules, out);
    }

    /// Sends an event to the client. `args` is JSON texts separated by commas, or empty.
    pub fn emit(
        &mut self,
        namespace: NamespaceId,
        name: &str,
        args: &str,
        attachments: &[Bytes],
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        let _ = (namespace, name, args, attachments, rules, out);
    }

    /// Acknowledges an event of the client. `args` is JSON texts separated by commas, or empty.
    pub fn acknowledge(
        &mut self,
        namespace: NamespaceId,
        ack: u64,
        args: &str,
        attachments: &[Bytes],
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        let _ = (namespace, ack, args, attachments, rules, out);
    }

    /// Ends the session from the server's side.
    pub fn close(&mut self, reason: CloseReason, out: &mut Vec<Output>) {
        if !std::mem::replace(&mut self.is_closed, true) {
            out.push(Output::Closed(reason));
        }
    }

    /// When [`Session::handle_timeout`] wants to be called. It changes with every call.
    pub fn deadline(&self) -> Instant {
        self.opened + Duration::from_secs(1)
    }

    /// The namespaces that the client is in.
    pub fn joined(&self) -> impl Iterator<Item = NamespaceId> {
        self.joined.iter().copied()
    }

    /// Whether the client is in `namespace`.
    pub fn is_joined(&self, namespace: NamespaceId) -> bool {
        self.joined.contains(&namespace)
    }

    /// Whether the session is over.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The protocol that the client speaks.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// What the session speaks.
    pub const fn layer(&self) -> Layer {
        self.layer
    }
}
