//! A shard: a complete little server on one thread.
//!
//! It accepts, reads, decides, writes and keeps time for its own connections. This file opens
//! connections. `coordination` has the shard's actions, among them the end of a connection;
//! `connections` has records, ids and deadlines, `topics` the members of each channel, `delivery`
//! the bytes on their way to clients, `io` the sockets, and `clients` the kinds of clients.
//!
//! Every entry point ends with [`Shard::flush`], so that what it caused is written.

pub(crate) mod clients;
pub(crate) mod connections;
mod coordination;
mod delivery;
mod io;
#[cfg(test)]
mod tests;
pub(crate) mod topics;

use std::{sync::Arc, time::Instant};

use womack_ledger::{Admitted, Ledger, ShardId};
use womack_proto::{
    Frame, Handshake, Layer, NamespaceId, Output, PollBody, Revision, Rules, Session, SessionError,
    handshake, payload::Format,
};

#[cfg(feature = "bench")]
pub(crate) use self::delivery::round::{Outbox, Round};
#[cfg(any(test, feature = "simulation"))]
pub use self::io::memory::MemorySocket;
#[cfg(test)]
pub(crate) use self::topics::{channels::Channels as WritableChannels, subscribers::Subscriber};
pub use self::{
    clients::{
        event_queue::EventQueue,
        sse::{Opened, Wish},
    },
    delivery::closing_sockets::CLOSING_TIME,
    io::{
        readiness::Readiness, ring::Ring, socket_event::SocketEvent, sockets::Sockets, wire::Socket,
    },
    topics::channels::{ChannelsReader, Load, TopicLoad},
};
use self::{
    clients::{
        kind::{Kind, Transport},
        polling::Polling,
    },
    connections::{
        connection::{ChannelsOf, Connection},
        ids::Ids,
        table::Connections,
        timers::Timers,
    },
    delivery::{closing_sockets::ClosingSockets, egress::Egress},
    io::{ingress::Ingress, socket_id::SocketId},
    topics::{
        meta_changes::MetaChanges,
        presence_queries::PresenceQueries,
        subscriptions::{SharedParts, Subscriptions},
    },
};
use crate::{
    context::{Context, Speaks},
    dirty_channels::DirtyChannels,
    metrics::ShardMetrics,
    sid::{ConnectionId, Sid, SidSource},
};

/// A shard's state. One task at a time borrows it, never across an await.
///
/// A part calls no method of the shard; the shard passes data from one part to another.
pub struct Shard {
    ids: Ids,
    context: Arc<Context>,
    metrics: ShardMetrics,
    ledger: Ledger,
    /// The time of what is being handled; a shard reads no clock.
    now: Instant,
    connections: Connections,
    subscriptions: Subscriptions,
    presence_queries: PresenceQueries,
    meta_changes: MetaChanges,
    egress: Egress,
    ingress: Ingress,
    sockets: Sockets,
    closing_sockets: ClosingSockets,
    timers: Timers,
    /// Buffers for what sessions say, lent to whoever needs one and empty otherwise.
    outputs: Vec<Vec<Output>>,
}

impl Shard {
    /// A shard without clients, whose channels are marked in `dirty`.
    pub fn new(
        id: ShardId,
        context: Arc<Context>,
        sockets: Sockets,
        ring: Option<Ring>,
        dirty: Arc<DirtyChannels>,
        now: Instant,
    ) -> Self {
        let (config, ledger) = (&context.config, context.memory.ledger(id));
        let (timeout, tells_gaps) = (config.subscribe_timeout, config.gap_notices);
        let shared = SharedParts {
            dirty,
            count: context.channels.clone(),
            ledger: ledger.clone(),
        };
        Self {
            ids: Ids::new(id, context.sids.clone()),
            metrics: context.metrics.shards.of(id).clone(),
            ledger: ledger.clone(),
            now,
            connections: Connections::new(ledger, now),
            subscriptions: Subscriptions::new(id, shared, timeout, tells_gaps),
            presence_queries: PresenceQueries::new(timeout),
            meta_changes: MetaChanges::new(ledger),
            egress: Egress::new(ring, ledger.clone()),
            ingress: Ingress::new(
                config.limits.load().max_payload_bytes,
                config.handshake_timeout,
                ledger,
            ),
            sockets,
            closing_sockets: ClosingSockets::new(ledger.clone()),
            timers: Timers::new(config.max_connection_age, now),
            outputs: Vec::new(),
            context,
        }
    }

    /// The reading half of this shard's map.
    pub fn channels_reader(&self) -> ChannelsReader {
        self.subscriptions.reader()
    }

    /// Opens a session whose transport is a WebSocket. `early` was read from it already.
    pub fn open_websocket(
        &mut self,
        socket: Socket,
        early: &[u8],
        endpoint: u8,
        revision: Revision,
        admitted: Admitted,
        now: Instant,
    ) {
        self.now = now;
        let name = SocketId::Client(self.connections.next_id());
        let Some(wire) = self.open_wire(socket, name) else {
            return;
        };
        let transport = Transport::WebSocket(wire);
        let Some(id) = self.open_session(transport, endpoint, revision, admitted) else {
            return;
        };
        self.greet(id);
        self.read_early(name, early);
        self.flush();
    }

    /// Opens a session whose transport is polling. Returns its open packet, and what else the
    /// server has to say at once.
    ///
    /// # Errors
    /// [`SessionError::Unopened`] if there is no place for it.
    pub fn open_polling(
        &mut self,
        endpoint: u8,
        handshake: &Handshake,
        admitted: Admitted,
        now: Instant,
    ) -> Result<PollBody, SessionError> {
        self.now = now;
        let format = Format::new(handshake, self.layer(endpoint));
        let transport = self.polling_transport(format);
        let id = self.open_session(transport, endpoint, handshake.revision, admitted);
        let id = id.ok_or(SessionError::Unopened)?;
        self.greet(id);
        self.flush();
        self.take_body(id).ok_or(SessionError::Unopened)
    }

    /// The transport of a client that polls, or is to attach a WebSocket.
    pub(in crate::shard) fn polling_transport(&self, format: Format) -> Transport {
        let expected = self.now + self.context.config.handshake_timeout;
        Transport::Polling(Box::new(Polling::new(format, expected)))
    }

    fn open_session(
        &mut self,
        transport: Transport,
        endpoint: u8,
        revision: Revision,
        admitted: Admitted,
    ) -> Option<ConnectionId> {
        let (layer, rules) = (self.layer(endpoint), &self.context.rules);
        let session = Session::open(revision, layer, rules, self.now);
        self.open(Kind::session_over(transport, session), endpoint, admitted)
    }

    /// Sends the open packet, and what follows it unasked.
    fn greet(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let open = handshake::open_packet(
            &self.ids.sid(connection.named(id)).to_string(),
            connection.kind().polling().is_some(),
            &self.context.rules.timing,
            self.context.config.limits.load().max_payload_bytes,
        );
        self.send(id, Frame::text(&[open.as_bytes()]).as_bytes());
        self.start(id);
    }

    fn start(&mut self, id: ConnectionId) {
        self.with_session(id, |session, rules, out| session.start(rules, out));
    }

    /// Makes room for a client, which is told nothing yet.
    fn open(&mut self, kind: Kind, endpoint: u8, admitted: Admitted) -> Option<ConnectionId> {
        let secret = match SidSource::secret() {
            Ok(secret) => secret,
            Err(error) => {
                tracing::error!(%error, "no random number for a session id");
                return None;
            }
        };
        self.context.metrics.clients.opened(kind.label());
        self.metrics.connections.inc();
        let connection = Connection::new(kind, endpoint, secret, &self.ledger);
        let id = self.connections.add(connection, admitted.stay());
        self.schedule(id);
        self.timers.begin(id, secret, self.now);
        Some(id)
    }

    fn layer(&self, endpoint: u8) -> Layer {
        match self.context.endpoints[usize::from(endpoint)].speaks {
            Speaks::EngineIo(_) => Layer::EngineIo,
            _ => Layer::SocketIo,
        }
    }

    /// The connection of a session id, if it is this shard's and alive.
    fn find(&mut self, sid: Sid) -> Option<ConnectionId> {
        let connection = self.connections.get(sid.slot)?;
        if !self.ids.is_own(sid) || connection.secret() != sid.secret {
            return None;
        }
        // The wheel may be some milliseconds late; a session that has timed out must not be
        // seen alive by anyone.
        let is_over = connection.kind().protocol_deadline() <= self.now;
        if is_over && self.timers.count(self.now) {
            self.protocol_timeout(sid.slot);
        }
        self.connections.get(sid.slot).map(|_| sid.slot)
    }

    /// Calls a method of the session of `id`, if that is what it speaks, then does what the session
    /// says.
    fn with_session(
        &mut self,
        id: ConnectionId,
        call: impl FnOnce(&mut Session, &Rules, &mut Vec<Output>),
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let mut outputs = self.outputs.pop().unwrap_or_default();
        let is_due_anew = connection.with_session(|session| {
            let before = session.deadline();
            call(session, &self.context.rules, &mut outputs);
            session.deadline() != before
        });
        if is_due_anew == Some(true) {
            self.schedule(id);
        }
        for output in outputs.drain(..) {
            self.apply(id, output);
        }
        self.outputs.push(outputs);
    }

    /// Puts whole frames into the outbox of `id`.
    fn send(&mut self, id: ConnectionId, frames: &[u8]) {
        if let Some(connection) = self.connections.get_mut(id) {
            self.egress.send(id, connection.outbox_mut(), frames);
        }
    }

    fn channels_of(&self, id: ConnectionId, namespace: NamespaceId) -> ChannelsOf<'_> {
        let connection = self.connections.get(id);
        let encodings = connection.map_or(&[][..], |found| found.kind().encodings());
        ChannelsOf {
            memberships: connection.map(Connection::memberships),
            namespace,
            encodings,
            registry: &self.context.registry,
        }
    }

    /// How many sessions this shard has.
    pub fn session_count(&self) -> usize {
        self.connections.len()
    }
}
