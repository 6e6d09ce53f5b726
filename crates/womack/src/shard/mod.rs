//! A shard: a complete little server on one thread.
//!
//! It accepts, reads, decides, writes and keeps time for its own connections, and shares nothing
//! but its queue and the reading half of its map. This file opens and closes connections and does
//! what their sessions say; the other files of this folder hold the shard's parts.
//!
//! Every entry point ends with [`Shard::flush`], so that what it caused is written.

mod acks;
mod channels;
mod connection;
mod deliver;
mod join;
mod memberships;
mod nested_poll;
mod outbox;
mod polling;
mod readiness;
mod upgrade;
mod wheel;
mod wire;

use std::{
    collections::VecDeque,
    net::TcpStream,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mio::Token;
use slab::Slab;
use tokio::sync::Notify;
use womack_proto::{
    CloseReason, Event, Frame, Layer, Limits, Message, NamespaceId, Namespaces, Output, Revision,
    Rules, Session, Timing, handshake, socket_io,
};

use self::{
    acks::Acks,
    channels::Channels,
    connection::{ChannelsOf, Connection, Transport},
    memberships::Memberships,
    outbox::Spans,
    wheel::Wheel,
    wire::Wire,
};
pub(crate) use self::{
    channels::ChannelsReader,
    outbox::{Outbox, Round},
    readiness::Readiness,
};
use crate::{
    command::{Encoding, ShardId, ToRouter, Topic},
    config::Config,
    metrics::Metrics,
    namespace::{Action, Client, MessageClient, Messages, Registry, View},
    queue::Sender,
    sid::{Sid, SidSource},
    websocket::{Decoder, Inbound},
};

/// How long a stream that the server has ended stays open for its client to read the end.
const LINGER: Duration = Duration::from_secs(2);
/// Streams that stay open so at one time; more are closed at once.
const MOST_LINGERING: usize = 1024;
/// Bytes that are read from a socket at one go.
const READ_BYTES: usize = 64 * 1024;

/// What all shards of a server have in common and none changes.
pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) rules: Rules,
    pub(crate) registry: Registry,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sids: SidSource,
}

/// A path where sessions are opened, and what is spoken there.
pub(crate) struct Endpoint {
    pub(crate) path: String,
    /// Engine.IO messages go here; `None` means that Socket.IO is spoken.
    pub(crate) messages: Option<Arc<dyn Messages>>,
}

impl Common {
    pub(crate) fn rules(config: &Config, registry: &[String]) -> Rules {
        Rules {
            timing: Timing {
                ping_interval: config.ping_interval,
                ping_timeout: config.ping_timeout,
                connect_timeout: config.handshake_timeout,
            },
            limits: Limits {
                max_attachments: 64,
                max_attachment_bytes: config.max_payload_bytes,
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
    connections: Slab<Connection>,
    channels: Channels,
    round: Round,
    wheel: Wheel,
    acks: Acks,
    decoder: Decoder,
    poll: mio::Registry,
    router: Sender<ToRouter>,
    look_at_all: Arc<AtomicBool>,
    /// Whether the subscription link to Redis stands.
    linked: bool,
    lingering: VecDeque<(Instant, mio::net::TcpStream)>,
    /// Told when a deadline comes before all others.
    timer: Rc<Notify>,
    next_turn: Option<Instant>,
    /// Sockets that have more than was read at one go.
    unread: Vec<(u32, bool)>,
    /// When the messages of this round reached the router.
    received: Vec<Instant>,
    // Buffers that are lent to whoever needs one and come back empty.
    read_buffer: Box<[u8]>,
    inbound: Vec<Inbound>,
    outputs: Vec<Vec<Output>>,
    spans: Spans,
}

impl Shard {
    pub(crate) fn new(
        id: ShardId,
        common: Arc<Common>,
        poll: mio::Registry,
        router: Sender<ToRouter>,
        look_at_all: Arc<AtomicBool>,
    ) -> Self {
        let config = &common.config;
        Self {
            id,
            connections: Slab::new(),
            channels: Channels::new(),
            round: Round::default(),
            wheel: Wheel::new(Instant::now()),
            acks: Acks::new(config.subscribe_timeout),
            decoder: Decoder::new(config.max_payload_bytes),
            poll,
            router,
            look_at_all,
            linked: false,
            lingering: VecDeque::new(),
            timer: Rc::new(Notify::new()),
            next_turn: None,
            unread: Vec::new(),
            received: Vec::new(),
            read_buffer: vec![0; READ_BYTES].into(),
            inbound: Vec::new(),
            outputs: Vec::new(),
            spans: Spans::new(),
            common,
        }
    }

    /// The reading half of this shard's map.
    pub(crate) fn channels_reader(&self) -> ChannelsReader {
        self.channels.reader()
    }

    /// Opens a session whose transport is a WebSocket. `early` was read from it already.
    pub(crate) fn open_websocket(&mut self, stream: TcpStream, early: &[u8], endpoint: u8) {
        let slot = self.connections.vacant_key();
        let wire = match Wire::open(stream, token(slot, false), &self.poll) {
            Ok(wire) => wire,
            Err(error) => return tracing::debug!(%error, "a WebSocket was gone before it opened"),
        };
        let Some(sid) = self.open(Transport::WebSocket(wire), endpoint) else {
            return;
        };
        let rules = &self.common.rules;
        let max_payload = self.common.config.max_payload_bytes;
        let open = handshake::open_packet(&sid.to_string(), false, &rules.timing, max_payload);
        self.send(sid.slot, Frame::text(&[open.as_bytes()]).as_bytes());
        if !early.is_empty() {
            self.decode(sid.slot, false, early);
        }
        self.flush();
    }

    /// Opens a session whose transport is polling. Returns its open packet.
    pub(crate) fn open_polling(&mut self, endpoint: u8) -> Option<String> {
        let sid = self.open(Transport::Polling(Box::default()), endpoint)?;
        let rules = &self.common.rules;
        let max_payload = self.common.config.max_payload_bytes;
        Some(handshake::open_packet(
            &sid.to_string(),
            true,
            &rules.timing,
            max_payload,
        ))
    }

    fn open(&mut self, transport: Transport, endpoint: u8) -> Option<Sid> {
        let secret = match SidSource::secret() {
            Ok(secret) => secret,
            Err(error) => {
                tracing::error!(%error, "no random number for a session id");
                return None;
            }
        };
        let layer = match self.common.endpoints[usize::from(endpoint)].messages {
            Some(_) => Layer::EngineIo,
            None => Layer::SocketIo,
        };
        let session = Session::open(Revision::V4, layer, &self.common.rules, Instant::now());
        let connection = Connection {
            session,
            secret,
            transport,
            outbox: Outbox::new(),
            memberships: Memberships::default(),
            endpoint,
        };
        self.common.metrics.opened(connection.transport_kind());
        let slot =
            u32::try_from(self.connections.insert(connection)).expect("fewer than 2^31 files");
        self.schedule(slot);
        Some(Sid {
            node: self.common.sids.node,
            shard: self.id,
            slot,
            secret,
        })
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
        if connection.session.deadline() <= Instant::now() {
            self.session_timeout(sid.slot);
        }
        self.connections
            .contains(sid.slot as usize)
            .then_some(sid.slot)
    }

    /// Calls a method of the session of `id`, then does what the session says.
    fn with_session(&mut self, id: u32, call: impl FnOnce(&mut Session, &Rules, &mut Vec<Output>)) {
        let Some(connection) = self.connections.get_mut(id as usize) else {
            return;
        };
        let mut outputs = self.outputs.pop().unwrap_or_default();
        let before = connection.session.deadline();
        call(&mut connection.session, &self.common.rules, &mut outputs);
        if connection.session.deadline() != before {
            self.schedule(id);
        }
        for output in outputs.drain(..) {
            self.apply(id, output);
        }
        self.outputs.push(outputs);
    }

    fn apply(&mut self, id: u32, output: Output) {
        match output {
            Output::Send(frame) => self.send(id, frame.as_bytes()),
            Output::Connect { namespace, auth } => self.connect(id, namespace, auth.as_deref()),
            Output::Event { namespace, event } => self.event(id, namespace, &event),
            Output::Left(namespace) => {
                self.leave_namespace(id, namespace);
                self.tell_left(id, namespace, CloseReason::ClientDisconnect);
            }
            Output::Message(message) => self.message(id, message),
            Output::Closed(reason) => self.close(id, reason),
            // Nothing that this server sends asks for an acknowledgement.
            _ => {}
        }
    }

    fn connect(&mut self, id: u32, namespace: NamespaceId, auth: Option<&str>) {
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let sid = self
            .namespace_sid(id, connection.secret, namespace)
            .to_string();
        let mut actions = Vec::new();
        let common = self.common.clone();
        let refusal = {
            let channels = self.channels_of(id, namespace);
            let path = &common.registry.get(namespace).path;
            let view = View {
                id: &sid,
                namespace: path,
                auth,
                channels: &channels,
            };
            let mut client = Client::new(view, &mut actions);
            common
                .registry
                .get(namespace)
                .handler
                .on_connect(&mut client)
                .err()
        };
        match refusal {
            None => {
                self.with_session(id, |session, rules, out| {
                    session.accept(namespace, &sid, rules, out)
                });
                self.act(id, namespace, actions);
            }
            Some(refusal) => self.with_session(id, |session, rules, out| {
                session.refuse(
                    namespace,
                    &refusal.message,
                    refusal.data.as_deref(),
                    rules,
                    out,
                );
            }),
        }
    }

    fn event(&mut self, id: u32, namespace: NamespaceId, event: &Event) {
        self.common.metrics.events.inc();
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let sid = self
            .namespace_sid(id, connection.secret, namespace)
            .to_string();
        let mut actions = Vec::new();
        let common = self.common.clone();
        {
            let channels = self.channels_of(id, namespace);
            let path = &common.registry.get(namespace).path;
            let view = View {
                id: &sid,
                namespace: path,
                auth: None,
                channels: &channels,
            };
            let handler = &common.registry.get(namespace).handler;
            handler.on_event(&mut Client::new(view, &mut actions), event);
        }
        self.act(id, namespace, actions);
    }

    fn message(&mut self, id: u32, message: Message) {
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let common = self.common.clone();
        let Some(handler) = &common.endpoints[usize::from(connection.endpoint)].messages else {
            return;
        };
        let mut replies = Vec::new();
        handler.on_message(&mut MessageClient::new(&mut replies), message);
        for reply in replies {
            let frame = match reply {
                Message::Text(text) => Frame::text(&[b"4", text.as_bytes()]),
                Message::Binary(data) => Frame::binary(&data),
            };
            self.send(id, frame.as_bytes());
        }
    }

    /// Does what a handler wants.
    fn act(&mut self, id: u32, namespace: NamespaceId, actions: Vec<Action>) {
        let common = self.common.clone();
        let path = &common.registry.get(namespace).path;
        for action in actions {
            match action {
                Action::Join(channel) => {
                    self.join(id, namespace, &channel);
                }
                Action::Leave(channel) => self.leave(id, namespace, &channel),
                Action::JoinAcknowledged(join) => self.join_acknowledged(id, namespace, *join),
                Action::Emit {
                    name,
                    args,
                    attachments,
                } => {
                    let packet =
                        socket_io::encode_event(path, None, &name, &args, attachments.len());
                    self.send_packet(id, packet.as_ref(), &attachments);
                }
                Action::Acknowledge {
                    ack,
                    args,
                    attachments,
                } => {
                    let packet = socket_io::encode_ack(path, ack, &args, attachments.len());
                    self.send_packet(id, packet.as_ref(), &attachments);
                }
                Action::Disconnect => {
                    self.leave_namespace(id, namespace);
                    self.with_session(id, |session, rules, out| {
                        session.leave(namespace, rules, out)
                    });
                    self.tell_left(id, namespace, CloseReason::ServerDisconnect);
                }
            }
        }
    }

    fn tell_left(&self, id: u32, namespace: NamespaceId, reason: CloseReason) {
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        self.tell_disconnect(id, connection.secret, namespace, reason);
    }

    fn tell_disconnect(&self, id: u32, secret: u64, namespace: NamespaceId, reason: CloseReason) {
        let sid = self.namespace_sid(id, secret, namespace).to_string();
        let entry = self.common.registry.get(namespace);
        let channels = self.channels_of(id, namespace);
        let view = View {
            id: &sid,
            namespace: &entry.path,
            auth: None,
            channels: &channels,
        };
        // Nothing can be done any more for a client that is gone.
        let mut actions = Vec::new();
        entry
            .handler
            .on_disconnect(&mut Client::new(view, &mut actions), reason);
    }

    fn send_packet(&mut self, id: u32, packet: &[u8], attachments: &[Bytes]) {
        self.send(id, Frame::text(&[b"4", packet]).as_bytes());
        for attachment in attachments {
            self.send(id, Frame::binary(attachment).as_bytes());
        }
    }

    /// Puts whole frames into the outbox of `id`.
    fn send(&mut self, id: u32, frames: &[u8]) {
        let Some(connection) = self.connections.get_mut(id as usize) else {
            return;
        };
        let span = self.round.append(frames);
        self.round.add(id, &mut connection.outbox, span);
    }

    /// Ends the connection `id`. There is no second way out.
    fn close(&mut self, id: u32, reason: CloseReason) {
        let code = match reason {
            CloseReason::TransportClose | CloseReason::TransportError => None,
            _ => Some(reason.websocket_code()),
        };
        self.close_with(id, reason, code);
    }

    fn close_with(&mut self, id: u32, reason: CloseReason, code: Option<u16>) {
        let Some(mut connection) = self.connections.try_remove(id as usize) else {
            return;
        };
        self.wheel.cancel(id);
        self.common
            .metrics
            .closed(connection.transport_kind(), reason);
        tracing::debug!(
            shard = self.id.0,
            slot = id,
            reason = reason.as_str(),
            "session closed"
        );
        self.leave_all(&mut connection);
        for namespace in connection.session.joined() {
            self.tell_disconnect(id, connection.secret, namespace, reason);
        }
        self.common
            .metrics
            .client_queue_bytes
            .dec_by(connection.outbox.pending_bytes() as i64);
        match connection.transport {
            Transport::WebSocket(wire) => {
                let last = code.map(|code| Frame::close(code, reason.as_str()));
                self.finish(wire, connection.outbox, last, reason);
            }
            Transport::Polling(polling) => self.answer_last(*polling, connection.outbox, reason),
        }
    }

    /// Writes what is left for a WebSocket, if its socket takes it, and ends it.
    fn finish(
        &mut self,
        mut wire: Wire,
        mut outbox: Outbox,
        last: Option<Frame>,
        reason: CloseReason,
    ) {
        if reason == CloseReason::TransportError {
            return;
        }
        let mut spans = std::mem::take(&mut self.spans);
        self.round.take(&mut outbox, &mut spans);
        for &span in &spans {
            outbox.keep(Bytes::copy_from_slice(self.round.bytes(span)));
        }
        self.spans = spans;
        if let Some(last) = last {
            outbox.keep(last.into_bytes());
        }
        // Whether it is written or not, this is the end.
        let written = outbox
            .pending
            .as_mut()
            .map_or(Ok(true), |pending| pending.write_to(&mut wire));
        let stream = wire.finish();
        if written.is_ok() && self.lingering.len() < MOST_LINGERING {
            self.lingering.push_back((Instant::now() + LINGER, stream));
            self.wake_timer(Instant::now() + LINGER);
        }
    }

    fn namespace_sid(&self, id: u32, secret: u64, namespace: NamespaceId) -> Sid {
        let sids = &self.common.sids;
        let secret = sids.namespace_secret(secret, namespace);
        Sid {
            node: sids.node,
            shard: self.id,
            slot: id,
            secret,
        }
    }

    fn channels_of(&self, id: u32, namespace: NamespaceId) -> ChannelsOf<'_> {
        let memberships = self
            .connections
            .get(id as usize)
            .map(|found| &found.memberships);
        ChannelsOf {
            memberships,
            topic: topic(namespace),
            registry: &self.common.registry,
        }
    }

    /// How many sessions this shard has.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Closes up to `count` sessions because the server stops.
    pub(crate) fn close_some(&mut self, count: usize) {
        let ids: Vec<_> = self
            .connections
            .iter()
            .map(|(id, _)| id as u32)
            .take(count)
            .collect();
        for id in ids {
            self.close(id, CloseReason::Shutdown);
        }
        self.flush();
    }
}

/// The topic of clients of `namespace`.
const fn topic(namespace: NamespaceId) -> Topic {
    Topic {
        namespace,
        encoding: Encoding::Modern,
    }
}

/// Names a socket to the system: the connection's slot, and whether it is its probe.
const fn token(slot: usize, probe: bool) -> Token {
    Token(slot << 1 | probe as usize)
}
