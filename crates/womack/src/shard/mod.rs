//! A shard: a complete little server on one thread.
//!
//! It accepts, reads, decides, writes and keeps time for its own connections, and shares nothing
//! but its queue and the reading half of its map. This file opens connections and speaks to their
//! sessions. `connections` ends them and knows their ids and deadlines, `topics` knows who is in
//! which channel, `delivery` brings messages to clients, `io` touches their sockets, and `clients`
//! speaks with each kind of client.
//!
//! Every entry point ends with [`Shard::flush`], so that what it caused is written.

mod clients;
mod connections;
mod delivery;
mod io;
mod topics;

use std::{
    collections::HashMap,
    net::{IpAddr, TcpStream},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::Token;
use slab::Slab;
use tokio::sync::Notify;
use womack_proto::{
    Frame, Handshake, Layer, Limits, NamespaceId, Namespaces, Output, Revision, Rules, Session,
    Timing, handshake, payload::Format,
};

pub(crate) use self::{
    clients::{event_queue::EventQueue, legacy::Handshaken, sse::Wish},
    delivery::round::{Outbox, Round},
    io::{closing_sockets::CLOSING_TIME, readiness::Readiness, ring::Ring},
    topics::channels::{ChannelsReader, Load, TopicLoad},
};
use self::{
    connections::{
        connection::{ChannelsOf, Connection, Polling, Protocol, Transport},
        lifetimes::Ages,
        metas::Metas,
        rate_limit::Pace,
        recently_closed::Goodbyes,
        wheel::Wheel,
    },
    delivery::{
        round::{Span, Spans},
        slices::Fanouts,
    },
    io::{closing_sockets::ClosingSockets, ring::Answer, wire::Wire},
    topics::{
        channels::Channels, gaps::Gaps, memberships::Memberships, presence_queries::PresenceQueries,
    },
};
use crate::{
    admission::{Admission, Admitted},
    command::PollBody,
    config::Config,
    engine::{DirtyChannels, PendingAcks, StallDetector},
    families::Families,
    memory::{self, Ledger, Memory},
    metrics::{Metrics, ShardMetrics},
    namespace::{Messages, Registry},
    report::Reports,
    sid::{ConnectionId, ShardId, Sid, SidSource},
    websocket::{Decoder, Inbound},
};

/// Bytes that are read from a socket at one go.
const READ_BYTES: usize = 64 * 1024;

/// How long a poll of a Socket.IO 0.9 client waits at most, as in the original server. Where
/// something on the way makes more frequent pings necessary, it must not wait longer either.
const POLL_DURATION: Duration = Duration::from_secs(20);

/// What all shards of a server have in common and none changes.
pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) rules: Rules,
    pub(crate) registry: Registry,
    pub(crate) families: Families,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sids: SidSource,
    pub(crate) admission: Arc<Admission>,
    pub(crate) memory: Memory,
    /// Where shards say what the back end shall hear; `None` if it shall hear nothing.
    pub(crate) reports: Option<Reports>,
}

/// A path where sessions are opened, and what is spoken there.
pub(crate) struct Endpoint {
    pub(crate) path: String,
    pub(crate) speaks: Speaks,
}

/// What is spoken at an endpoint.
pub(crate) enum Speaks {
    /// Socket.IO in Engine.IO.
    SocketIo,
    /// Engine.IO alone; its messages go here.
    EngineIo(Arc<dyn Messages>),
    /// WebSocket; its messages go here as they are.
    WebSocket(Arc<dyn Messages>),
    /// JSON lines over WebSocket.
    Lines,
    /// Server-sent events.
    Events,
}

impl Common {
    /// Whether the messages of a round are told apart: some may go for others, or are counted.
    pub(crate) fn marks_messages(&self) -> bool {
        let limits = self.config.limits.load();
        limits.max_client_queue_messages > 0 || self.registry.thins()
    }

    pub(crate) fn rules(config: &Config, registry: &[String]) -> Rules {
        Rules {
            timing: Timing {
                ping_interval: config.ping_interval,
                ping_timeout: config.ping_timeout,
                connect_timeout: config.handshake_timeout,
                poll_duration: POLL_DURATION.min(config.ping_interval),
                ..Timing::default()
            },
            limits: Limits {
                max_attachments: 64,
                max_attachment_bytes: config.limits.load().max_payload_bytes,
                max_namespaces: registry.len(),
            },
            namespaces: Namespaces::new(registry.iter().map(String::as_str)),
        }
    }
}

/// A shard's state. One task at a time borrows it, never across an await.
pub(crate) struct Shard {
    id: ShardId,
    common: Arc<Common>,
    /// The time of what is being handled; a shard reads no clock.
    now: Instant,
    /// When the shard began, from which packets are counted.
    started: Instant,
    metrics: ShardMetrics,
    ledger: Ledger,
    connections: Slab<Connection>,
    /// Where clients come from, as far as that is limited.
    addresses: HashMap<ConnectionId, IpAddr>,
    channels: Channels,
    round: Round,
    fanouts: Fanouts,
    wheel: Wheel,
    ages: Ages,
    acks: PendingAcks,
    goodbyes: Goodbyes,
    presence_queries: PresenceQueries,
    metas: Metas,
    decoder: Decoder,
    poll: mio::Registry,
    /// Sends rounds with one system call; none where the system has it not.
    ring: Option<Ring>,
    /// Takes channels that the router has to look at.
    dirty: Arc<DirtyChannels>,
    gaps: Gaps,
    closing_sockets: ClosingSockets,
    /// Told when a deadline comes before all others.
    timer: Rc<Notify>,
    next_turn: Option<Instant>,
    stalls: StallDetector,
    /// Sockets that have more than was read at one go.
    unread: Vec<(ConnectionId, bool)>,
    /// How many batches of commands have been begun.
    batch: u64,
    /// When the first message of this round reached the router.
    received: Option<Instant>,
    // Buffers that are lent to whoever needs one and come back empty.
    read_buffer: Box<[u8]>,
    inbound: Vec<Inbound>,
    outputs: Vec<Vec<Output>>,
    spans: Spans,
    sends: Vec<(ConnectionId, Span)>,
    answers: Vec<Answer>,
}

impl Shard {
    pub(crate) fn new(
        id: ShardId,
        common: Arc<Common>,
        poll: mio::Registry,
        ring: Option<Ring>,
        dirty: Arc<DirtyChannels>,
        now: Instant,
    ) -> Self {
        let config = &common.config;
        Self {
            id,
            now,
            started: now,
            metrics: common.metrics.shards.of(id).clone(),
            ledger: common.memory.ledger(id).clone(),
            connections: Slab::new(),
            addresses: HashMap::new(),
            channels: Channels::new(),
            round: Round::default(),
            fanouts: Fanouts::default(),
            wheel: Wheel::new(now),
            ages: Ages::new(config.nodes.max_connection_age, now),
            goodbyes: Goodbyes::default(),
            acks: PendingAcks::new(config.subscribe_timeout),
            presence_queries: PresenceQueries::new(config.subscribe_timeout),
            metas: Metas::default(),
            decoder: Decoder::new(
                config.limits.load().max_payload_bytes,
                common.memory.ledger(id),
            ),
            poll,
            ring,
            dirty,
            gaps: Gaps::new(config.redis.gap_notices),
            closing_sockets: ClosingSockets::new(common.memory.ledger(id).clone()),
            timer: Rc::new(Notify::new()),
            next_turn: None,
            stalls: StallDetector::new(now),
            unread: Vec::new(),
            batch: 0,
            received: None,
            read_buffer: vec![0; READ_BYTES].into(),
            inbound: Vec::new(),
            outputs: Vec::new(),
            spans: Spans::new(),
            sends: Vec::new(),
            answers: Vec::new(),
            common,
        }
    }

    /// The reading half of this shard's map.
    pub(crate) fn channels_reader(&self) -> ChannelsReader {
        self.channels.reader()
    }

    /// Opens a session whose transport is a WebSocket. `early` was read from it already.
    pub(crate) fn open_websocket(
        &mut self,
        stream: TcpStream,
        early: &[u8],
        (endpoint, revision): (u8, Revision),
        admitted: Admitted,
        now: Instant,
    ) {
        self.now = now;
        let slot = self.connections.vacant_key();
        let wire = match Wire::open(stream, token(slot, false), &self.poll) {
            Ok(wire) => wire,
            Err(error) => return tracing::debug!(%error, "a WebSocket was gone before it opened"),
        };
        let transport = Transport::WebSocket(wire);
        let Some(id) = self.open_session(transport, (endpoint, revision), admitted) else {
            return;
        };
        self.greet(id);
        if !early.is_empty() {
            self.decode(id, false, early);
        }
        self.flush();
    }

    /// Opens a session whose transport is polling. Returns its open packet, and what else the
    /// server has to say at once.
    pub(crate) fn open_polling(
        &mut self,
        endpoint: u8,
        handshake: &Handshake,
        admitted: Admitted,
        now: Instant,
    ) -> Option<PollBody> {
        self.now = now;
        let format = Format::new(handshake, self.layer(endpoint));
        let transport = Transport::Polling(Box::new(Polling::new(format)));
        let id = self.open_session(transport, (endpoint, handshake.revision), admitted)?;
        self.greet(id);
        self.flush();
        self.take_body(id)
    }

    fn open_session(
        &mut self,
        transport: Transport,
        (endpoint, revision): (u8, Revision),
        admitted: Admitted,
    ) -> Option<ConnectionId> {
        let (layer, rules) = (self.layer(endpoint), &self.common.rules);
        let session = Session::open(revision, layer, rules, self.now);
        self.open(transport, endpoint, Protocol::Session(session), admitted)
    }

    /// Sends the open packet, and what follows it unasked.
    fn greet(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id.index()) else {
            return;
        };
        let open = handshake::open_packet(
            &self.sid(id, connection.secret).to_string(),
            matches!(connection.transport, Transport::Polling(_)),
            &self.common.rules.timing,
            self.common.config.limits.load().max_payload_bytes,
        );
        self.send(id, Frame::text(&[open.as_bytes()]).as_bytes());
        self.start(id);
    }

    fn start(&mut self, id: ConnectionId) {
        self.with_session(id, |session, rules, out| session.start(rules, out));
    }

    /// Makes room for a client, which is told nothing yet.
    fn open(
        &mut self,
        transport: Transport,
        endpoint: u8,
        protocol: Protocol,
        admitted: Admitted,
    ) -> Option<ConnectionId> {
        let secret = match SidSource::secret() {
            Ok(secret) => secret,
            Err(error) => {
                tracing::error!(%error, "no random number for a session id");
                return None;
            }
        };
        let connection = Connection {
            protocol,
            secret,
            transport,
            outbox: Outbox::new(),
            memberships: Memberships::default(),
            endpoint,
            pace: Pace::default(),
        };
        self.common
            .metrics
            .clients
            .opened(connection.transport_label());
        self.metrics.connections.inc();
        let id = ConnectionId::at(self.connections.insert(connection));
        self.ledger.charge(memory::CLIENT_BYTES);
        if let Some(address) = admitted.stay() {
            self.addresses.insert(id, address);
        }
        self.schedule(id);
        if let Some(end) = self.ages.begin(id, secret, self.now) {
            self.wake_timer(end);
        }
        Some(id)
    }

    fn layer(&self, endpoint: u8) -> Layer {
        match self.common.endpoints[usize::from(endpoint)].speaks {
            Speaks::EngineIo(_) => Layer::EngineIo,
            _ => Layer::SocketIo,
        }
    }

    /// The connection of a session id, if it is this shard's and alive.
    fn find(&mut self, sid: Sid) -> Option<ConnectionId> {
        let connection = self.connections.get(sid.slot.index())?;
        let known = sid.node == self.common.sids.node && sid.shard == self.id;
        if !known || connection.secret != sid.secret {
            return None;
        }
        // The wheel may be some milliseconds late; a session that has timed out must not be
        // seen alive by anyone.
        let now = self.now;
        if connection.protocol_deadline() <= now && self.stalls.catches_up(now).is_none() {
            self.protocol_timeout(sid.slot);
        }
        self.connections
            .contains(sid.slot.index())
            .then_some(sid.slot)
    }

    /// Calls a method of the session of `id`, if that is what it speaks, then does what the session
    /// says.
    fn with_session(
        &mut self,
        id: ConnectionId,
        call: impl FnOnce(&mut Session, &Rules, &mut Vec<Output>),
    ) {
        let Some(Connection {
            protocol: Protocol::Session(session),
            ..
        }) = self.connections.get_mut(id.index())
        else {
            return;
        };
        let mut outputs = self.outputs.pop().unwrap_or_default();
        let before = session.deadline();
        call(session, &self.common.rules, &mut outputs);
        if session.deadline() != before {
            self.schedule(id);
        }
        for output in outputs.drain(..) {
            self.apply(id, output);
        }
        self.outputs.push(outputs);
    }

    /// Puts whole frames into the outbox of `id`.
    fn send(&mut self, id: ConnectionId, frames: &[u8]) {
        let Some(connection) = self.connections.get_mut(id.index()) else {
            return;
        };
        let span = self.round.append(frames);
        self.round.add(id, &mut connection.outbox, span);
    }

    fn channels_of(&self, id: ConnectionId, namespace: NamespaceId) -> ChannelsOf<'_> {
        let connection = self.connections.get(id.index());
        let encodings = connection.map_or(&[][..], Connection::encodings);
        ChannelsOf {
            memberships: connection.map(|found| &found.memberships),
            namespace,
            encodings,
            registry: &self.common.registry,
        }
    }

    /// How many sessions this shard has.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }
}

/// Names a socket to the system: the connection's slot, and whether it is its probe.
const fn token(slot: usize, probe: bool) -> Token {
    Token(slot << 1 | probe as usize)
}
