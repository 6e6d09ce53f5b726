//! The protocol state of one client.

mod incoming;
mod legacy;
mod outgoing;

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    attachments::Partial,
    engine_io,
    error::CloseReason,
    handshake::Revision,
    output::Output,
    rules::{Layer, NamespaceId, Rules, Timing},
};

/// The protocol state of one client.
///
/// Methods named `handle_*` take what arrives; the others are commands of the server, or getters.
/// A command that does not fit the state does nothing: accepting whom nobody announced, say, or
/// an event for a namespace that the client has left. So does everything after the end.
#[derive(Debug)]
pub struct Session {
    opened: Instant,
    /// When `due` is, in nanoseconds after the opening: half the size of an [`Instant`].
    heartbeat_nanos: u64,
    /// When a namespace must have been joined, in milliseconds after the opening; none when one
    /// has been.
    connect_millis: Option<NonZeroU32>,
    members: SmallVec<[Member; 4]>,
    /// The packet whose attachments are coming.
    partial: Option<Box<Partial>>,
    revision: Revision,
    layer: Layer,
    due: Due,
    is_closed: bool,
}

/// What shows that client and server live, and is due next.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Due {
    /// The server's ping.
    Ping,
    /// The client's pong, or its ping where clients ping.
    Client,
    /// The end of the poll that waits; with Socket.IO 0.9 only.
    EndOfPoll,
    /// A poll or a WebSocket where there is none; with Socket.IO 0.9 only.
    Transport,
}

/// A namespace that the client has joined, or wants to join.
#[derive(Copy, Clone, Debug)]
struct Member {
    namespace: NamespaceId,
    is_joined: bool,
}

impl Session {
    /// A session whose open packet is just being sent. [`Session::start`] follows that.
    pub fn open(revision: Revision, layer: Layer, rules: &Rules, now: Instant) -> Self {
        let must_connect = layer == Layer::SocketIo && !joins_root(revision);
        Self {
            opened: now,
            heartbeat_nanos: patience(revision, &rules.timing),
            connect_millis: must_connect.then(|| millis(rules.timing.connect_timeout)),
            members: SmallVec::new(),
            partial: None,
            revision,
            layer,
            due: match revision {
                Revision::Legacy => Due::Transport,
                Revision::V3 => Due::Client,
                Revision::V4 => Due::Ping,
            },
            is_closed: false,
        }
    }

    /// Does what clients of the revision expect unasked: those of Engine.IO 3 and of
    /// Socket.IO 0.9 join `/` by opening a session.
    pub fn start(&mut self, rules: &Rules, out: &mut Vec<Output>) {
        if self.layer == Layer::EngineIo || !joins_root(self.revision) {
            return;
        }
        if let Err(reason) = self.connect("/", None, rules, out) {
            self.close(reason, out);
        }
    }

    /// Handles one text packet of a WebSocket.
    pub fn handle_text(&mut self, now: Instant, text: &str, rules: &Rules, out: &mut Vec<Output>) {
        if self.is_closed {
            return;
        }
        let handled = match self.revision {
            Revision::Legacy => self.legacy_packet(now, text, rules, out),
            Revision::V3 | Revision::V4 => self.engine_io_packet(now, text, rules, out),
        };
        if let Err(reason) = handled {
            self.close(reason, out);
        }
    }

    /// Handles one text packet of a polling body, which may be a binary one as `b` and base64.
    pub fn handle_polling_packet(
        &mut self,
        now: Instant,
        text: &str,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        match engine_io::decode_base64(self.revision, text) {
            None => self.handle_text(now, text, rules, out),
            Some(data) => self.binary_message(now, data, rules, out),
        }
    }

    /// Handles one binary packet.
    pub fn handle_binary(
        &mut self,
        now: Instant,
        packet: Bytes,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        let data = engine_io::decode_binary(self.revision, packet);
        self.binary_message(now, data, rules, out);
    }

    /// Handles that time has passed: sends a ping, or closes. Does nothing before the deadline.
    pub fn handle_timeout(&mut self, now: Instant, rules: &Rules, out: &mut Vec<Output>) {
        if self.is_closed {
            return;
        }
        if self
            .connect_deadline()
            .is_some_and(|deadline| now >= deadline)
        {
            return self.close(CloseReason::ConnectTimeout, out);
        }
        if self
            .partial
            .as_ref()
            .is_some_and(|partial| now >= partial.deadline())
        {
            return self.close(CloseReason::AttachmentTimeout, out);
        }
        if now < self.heartbeat_deadline() {
            return;
        }
        match self.due {
            Due::Ping => {}
            Due::Client | Due::Transport => return self.close(CloseReason::PingTimeout, out),
            Due::EndOfPoll => return self.end_poll(now, rules, out),
        }
        // The time to answer runs from when the ping was due, so that a dead client is found out
        // on time; but of a ping that is sent too late it has half the time at least.
        let timeout = rules.timing.ping_timeout;
        let on_time = self.heartbeat_nanos.saturating_add(nanos(timeout));
        let at_least = self.since_opening(now).saturating_add(nanos(timeout / 2));
        self.heartbeat_nanos = on_time.max(at_least);
        self.due = Due::Client;
        out.push(Output::Send(self.ping()));
    }

    /// Lets the client into a namespace that it wants to join.
    pub fn accept(
        &mut self,
        namespace: NamespaceId,
        sid: &str,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        let Some(index) = self.member(namespace, false) else {
            return;
        };
        self.members[index].is_joined = true;
        self.connect_millis = None;
        self.send_connect(rules.namespaces.path(namespace), sid, out);
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
        let Some(index) = self.member(namespace, false) else {
            return;
        };
        self.members.swap_remove(index);
        self.send_refusal(rules.namespaces.path(namespace), message, data, out);
        self.close_without_root(namespace, out);
    }

    /// Takes the client out of a namespace and tells it. The connection stays.
    pub fn leave(&mut self, namespace: NamespaceId, rules: &Rules, out: &mut Vec<Output>) {
        let Some(index) = self.member(namespace, true) else {
            return;
        };
        self.members.swap_remove(index);
        self.send_disconnect(rules.namespaces.path(namespace), out);
        self.close_without_root(namespace, out);
    }

    /// Sends an event to the client. `args` is JSON texts separated by commas, or empty.
    pub fn emit(
        &self,
        namespace: NamespaceId,
        name: &str,
        args: &str,
        attachments: &[Bytes],
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        if self.member(namespace, true).is_some() {
            let path = rules.namespaces.path(namespace);
            self.send_event(path, name, args, attachments, out);
        }
    }

    /// Acknowledges an event of the client. `args` is JSON texts separated by commas, or empty.
    pub fn acknowledge(
        &self,
        namespace: NamespaceId,
        ack: u64,
        args: &str,
        attachments: &[Bytes],
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        if self.member(namespace, true).is_some() {
            let path = rules.namespaces.path(namespace);
            self.send_ack(path, ack, args, attachments, out);
        }
    }

    /// Ends the session. What it had joined can still be asked for.
    pub fn close(&mut self, reason: CloseReason, out: &mut Vec<Output>) {
        if !self.is_closed {
            self.is_closed = true;
            self.partial = None;
            out.push(Output::Closed(reason));
        }
    }

    /// When [`Session::handle_timeout`] wants to be called; every call may change it.
    pub fn deadline(&self) -> Instant {
        let partial = self.partial.as_ref().map(|partial| partial.deadline());
        let others = [self.connect_deadline(), partial];
        others
            .into_iter()
            .flatten()
            .fold(self.heartbeat_deadline(), Instant::min)
    }

    /// The namespaces that the client is in, or was in when the session was closed.
    pub fn joined(&self) -> impl Iterator<Item = NamespaceId> {
        self.members
            .iter()
            .filter(|member| member.is_joined)
            .map(|member| member.namespace)
    }

    /// Whether the client is in `namespace`, or was when the session was closed.
    pub fn is_joined(&self, namespace: NamespaceId) -> bool {
        self.joined().any(|joined| joined == namespace)
    }

    /// Bytes of memory that a packet takes whose attachments are still to come.
    pub fn unfinished_bytes(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.held_bytes())
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

    /// Ends a session that is nothing without `/`, when the server takes that away: a client of
    /// Socket.IO 0.9 is connected as long as it is there.
    fn close_without_root(&mut self, left: NamespaceId, out: &mut Vec<Output>) {
        if self.revision == Revision::Legacy && left == NamespaceId::default() {
            self.close(CloseReason::ServerDisconnect, out);
        }
    }

    /// Where a namespace stands among the members, if it is there in this state and the session
    /// is not over.
    fn member(&self, namespace: NamespaceId, is_joined: bool) -> Option<usize> {
        let is_it =
            |member: &Member| member.namespace == namespace && member.is_joined == is_joined;
        self.members
            .iter()
            .position(is_it)
            .filter(|_| !self.is_closed)
    }

    fn heartbeat_deadline(&self) -> Instant {
        self.opened + Duration::from_nanos(self.heartbeat_nanos)
    }

    fn connect_deadline(&self) -> Option<Instant> {
        let millis = self.connect_millis?.get();
        Some(self.opened + Duration::from_millis(millis.into()))
    }

    fn since_opening(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.opened))
    }
}

/// Whether a client is in the namespace `/` by opening a session, and so need not connect.
const fn joins_root(revision: Revision) -> bool {
    matches!(revision, Revision::V3 | Revision::Legacy)
}

/// Nanoseconds from a client's sign of life until the session acts: until it pings, or until a
/// client is given up that should have pinged, or opened a transport.
fn patience(revision: Revision, timing: &Timing) -> u64 {
    let interval = nanos(timing.ping_interval);
    match revision {
        Revision::Legacy => nanos(timing.close_timeout),
        Revision::V3 => interval.saturating_add(nanos(timing.ping_timeout)),
        Revision::V4 => interval,
    }
}

/// Nanoseconds, no more than a hundred years of them: an [`Instant`] can always be moved so far.
fn nanos(duration: Duration) -> u64 {
    const MAX: u64 = 100 * 365 * 24 * 60 * 60 * 1_000_000_000;

    u64::try_from(duration.as_nanos()).map_or(MAX, |nanos| nanos.min(MAX))
}

/// Whole milliseconds, rounded up: nothing happens too early.
fn millis(duration: Duration) -> NonZeroU32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).map_or(NonZeroU32::MAX, |millis| {
        NonZeroU32::new(millis).unwrap_or(NonZeroU32::MIN)
    })
}

#[cfg(test)]
mod tests;
