//! A shard: a complete little server on one thread.
//!
//! It accepts, reads, decides, writes and keeps time for its own connections, and shares nothing
//! but its queue and the reading half of its map. This file opens connections and speaks to their
//! sessions; `close` ends them. `handlers`, `join`, `report`, `deliver`, `orders`, `flush`,
//! `polling`, `upgrade`, `legacy` and `readiness` are what a shard does; the other files of this
//! folder are what it is made of.
//!
//! Every entry point ends with [`Shard::flush`], so that what it caused is written.

mod ages;
mod channels;
mod close;
mod closing_sockets;
mod connection;
mod deliver;
mod event_queue;
mod event_stream;
mod events;
mod fan_out;
mod fanouts;
mod flush;
mod gaps;
mod goodbyes;
mod handlers;
mod ids;
mod join;
mod keep;
mod legacy;
mod lines;
mod memberships;
mod metas;
mod nested_poll;
mod orders;
mod outbox;
mod pace;
mod pending;
mod plain;
mod polling;
mod presence_queries;
mod readiness;
mod repetitions;
mod report;
#[cfg_attr(
    not(all(feature = "io-uring", target_os = "linux")),
    path = "no_ring.rs"
)]
mod ring;
mod subscribers;
mod upgrade;
mod vectored;
mod wheel;
mod wire;

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

use self::{
    ages::Ages,
    channels::Channels,
    closing_sockets::ClosingSockets,
    connection::{ChannelsOf, Connection, Polling, Protocol, Transport},
    fanouts::Fanouts,
    gaps::Gaps,
    goodbyes::Goodbyes,
    memberships::Memberships,
    metas::Metas,
    outbox::{Span, Spans},
    pace::Pace,
    presence_queries::PresenceQueries,
    ring::Answer,
    wheel::Wheel,
    wire::Wire,
};
pub use self::{
    channels::{ChannelsReader, Load, TopicLoad},
    closing_sockets::CLOSING_TIME,
    event_queue::EventQueue,
    events::Wish,
    legacy::Handshaken,
    outbox::{Outbox, Round},
    readiness::Readiness,
    ring::Ring,
};
use crate::context::Context as Common;
pub use crate::context::Speaks;
use crate::{
    admission::Admitted,
    command::PollBody,
    engine::{DirtyChannels, PendingAcks, StallDetector},
    memory::{self, Ledger},
    metrics::ShardMetrics,
    sid::{ShardId, Sid, SidSource},
    websocket::{Decoder, Inbound},
};

/// Bytes that are read from a socket at one go.
const READ_BYTES: usize = 64 * 1024;

/// A shard's state. One task at a time borrows it, never across an await.
pub struct Shard {
    id: ShardId,
    common: Arc<Common>,
    started: Instant,
    metrics: ShardMetrics,
    ledger: Ledger,
    connections: Slab<Connection>,
    /// Where clients come from, as far as that is limited.
    addresses: HashMap<u32, IpAddr>,
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
    unread: Vec<(u32, bool)>,
    /// How many batches of commands have been begun.
    batch: u64,
    /// When the first message of this round reached the router.
    received: Option<Instant>,
    // Buffers that are lent to whoever needs one and come back empty.
    read_buffer: Box<[u8]>,
    inbound: Vec<Inbound>,
    outputs: Vec<Vec<Output>>,
    spans: Spans,
    sends: Vec<(u32, Span)>,
    answers: Vec<Answer>,
}

impl Shard {
    pub fn new(
        id: ShardId,
        common: Arc<Common>,
        poll: mio::Registry,
        ring: Option<Ring>,
        dirty: Arc<DirtyChannels>,
    ) -> Self {
        let config = &common.config;
        Self {
            id,
            started: Instant::now(),
            metrics: common.metrics.shards.of(id).clone(),
            ledger: common.memory.ledger(id).clone(),
            connections: Slab::new(),
            addresses: HashMap::new(),
            channels: Channels::new(),
            round: Round::default(),
            fanouts: Fanouts::default(),
            wheel: Wheel::new(Instant::now()),
            ages: Ages::new(config.max_connection_age, Instant::now()),
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
            gaps: Gaps::new(config.gap_notices),
            closing_sockets: ClosingSockets::new(common.memory.ledger(id).clone()),
            timer: Rc::new(Notify::new()),
            next_turn: None,
            stalls: StallDetector::new(Instant::now()),
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
    pub fn channels_reader(&self) -> ChannelsReader {
        self.channels.reader()
    }

    /// Opens a session whose transport is a WebSocket. `early` was read from it already.
    pub fn open_websocket(
        &mut self,
        stream: TcpStream,
        early: &[u8],
        (endpoint, revision): (u8, Revision),
        admitted: Admitted,
    ) {
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
    pub fn open_polling(
        &mut self,
        endpoint: u8,
        handshake: &Handshake,
        admitted: Admitted,
    ) -> Option<PollBody> {
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
    ) -> Option<u32> {
        let (layer, rules) = (self.layer(endpoint), &self.common.rules);
        let session = Session::open(revision, layer, rules, Instant::now());
        self.open(transport, endpoint, Protocol::Session(session), admitted)
    }

    /// Sends the open packet, and what follows it unasked.
    fn greet(&mut self, id: u32) {
        let Some(connection) = self.connections.get(id as usize) else {
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

    fn start(&mut self, id: u32) {
        self.with_session(id, |session, rules, out| session.start(rules, out));
    }

    /// Makes room for a client, which is told nothing yet.
    fn open(
        &mut self,
        transport: Transport,
        endpoint: u8,
        protocol: Protocol,
        admitted: Admitted,
    ) -> Option<u32> {
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
        let id = u32::try_from(self.connections.insert(connection)).expect("fewer than 2^31 files");
        self.ledger.charge(memory::CLIENT_BYTES);
        if let Some(address) = admitted.stay() {
            self.addresses.insert(id, address);
        }
        self.schedule(id);
        if let Some(end) = self.ages.begin(id, secret, Instant::now()) {
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
    fn find(&mut self, sid: Sid) -> Option<u32> {
        let connection = self.connections.get(sid.slot as usize)?;
        let known = sid.node == self.common.sids.node && sid.shard == self.id;
        if !known || connection.secret != sid.secret {
            return None;
        }
        // The wheel may be some milliseconds late; a session that has timed out must not be
        // seen alive by anyone.
        let now = Instant::now();
        if connection.protocol_deadline() <= now && self.stalls.catches_up(now).is_none() {
            self.protocol_timeout(sid.slot);
        }
        self.connections
            .contains(sid.slot as usize)
            .then_some(sid.slot)
    }

    /// Calls a method of the session of `id`, if that is what it speaks, then does what the session
    /// says.
    fn with_session(&mut self, id: u32, call: impl FnOnce(&mut Session, &Rules, &mut Vec<Output>)) {
        let Some(Connection {
            protocol: Protocol::Session(session),
            ..
        }) = self.connections.get_mut(id as usize)
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
    fn send(&mut self, id: u32, frames: &[u8]) {
        let Some(connection) = self.connections.get_mut(id as usize) else {
            return;
        };
        let span = self.round.append(frames);
        self.round.add(id, &mut connection.outbox, span);
    }

    fn channels_of(&self, id: u32, namespace: NamespaceId) -> ChannelsOf<'_> {
        let connection = self.connections.get(id as usize);
        let encodings = connection.map_or(&[][..], Connection::encodings);
        ChannelsOf {
            memberships: connection.map(|found| &found.memberships),
            namespace,
            encodings,
            registry: &self.common.registry,
        }
    }

    /// How many sessions this shard has.
    pub fn len(&self) -> usize {
        self.connections.len()
    }
}

/// Names a socket to the system: the connection's slot, and whether it is its probe.
const fn token(slot: usize, probe: bool) -> Token {
    Token(slot << 1 | probe as usize)
}
