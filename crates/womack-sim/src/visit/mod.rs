//! One session of a Socket.IO client, and the promises of its transport.

mod steps;

use std::rc::Rc;

use tokio::time::Instant;
use womack_engine::Sid;
use womack_proto::{Handshake, Revision};

use crate::{
    client::SHARDS,
    dialect::{Packet, packet_of, read_packet},
    events::Member,
    http::Http,
    node::{PING_INTERVAL, Place},
    polling::Polling,
    session::Session,
    websocket::{Incoming, WebSocket},
    world::World,
};

/// Where a client's requests go.
pub(crate) struct Balancer {
    pub(crate) world: Rc<World>,
    pub(crate) rng: fastrand::Rng,
    /// The node of the session.
    pub(crate) place: Place,
    /// Whether any node may be the next.
    pub(crate) roams: bool,
}

impl Balancer {
    /// The node and the shard that the next request reaches; `None` if no node is there.
    fn next(&mut self) -> Option<(Rc<Http>, usize)> {
        let shard = self.rng.usize(..SHARDS);
        if !self.roams {
            return Some((self.world.node(self.place)?.http(), shard));
        }
        let nodes = (0..self.world.node_count()).filter_map(|node| self.world.node_at(node));
        let nodes: Vec<_> = nodes.collect();
        let node = nodes.get(self.rng.usize(..nodes.len().max(1)))?;
        Some((node.http(), shard))
    }
}

/// One session of a Socket.IO client.
pub(crate) struct Visit {
    session: Session,
    revision: Revision,
    sid: Sid,
    transport: Transport,
    balancer: Balancer,
    /// Packets that wait for the transport.
    outgoing: Vec<String>,
    is_joined: bool,
    /// When a client of Engine.IO 3 pings next.
    next_ping: Instant,
    /// Why the session may end.
    cause: Option<&'static str>,
    /// Since when it must end, if it must, or may have been about to.
    doomed: Option<Instant>,
    /// Whether the client has said goodbye.
    is_leaving: bool,
}

enum Transport {
    Polling(Polling),
    WebSocket(WebSocket),
}

/// Whether a session goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    Open,
    Ended,
}

impl Visit {
    /// Opens a session by polling. `None` if the client is refused.
    pub(crate) fn poll(mut balancer: Balancer, revision: Revision, name: String) -> Option<Self> {
        let world = balancer.world.clone();
        let version = if revision == Revision::V3 { 3 } else { 4 };
        let query = format!("EIO={version}&transport=polling&t=first");
        let handshake = Handshake::parse(&query).ok()?;
        let http = world.node(balancer.place)?.http();
        let shard = balancer.rng.usize(..SHARDS);
        let body = http.open_polling(shard, &handshake).ok()?;
        let counted = revision == Revision::V3;
        let session = Session::new(&world, name, balancer.place, balancer.roams);
        session.note("comes");
        let mut packets = Polling::packets(&body, counted)?.into_iter();
        let Some(Packet::Open(sid)) = packets.next().as_deref().and_then(read_packet) else {
            session.violate("the session is not opened");
            return None;
        };
        let sid = Sid::parse(&sid)?;
        let polling = Polling::new(sid, counted, balancer.roams);
        let transport = Transport::Polling(polling);
        let mut visit = Self::new(balancer, session, revision, sid, transport);
        for packet in packets {
            visit.hear(&packet);
        }
        visit.greet();
        Some(visit)
    }

    /// Opens a session over a WebSocket. `None` if the client is refused.
    pub(crate) fn open(mut balancer: Balancer, revision: Revision, name: String) -> Option<Self> {
        let world = balancer.world.clone();
        let http = world.node(balancer.place)?.http();
        let (shard, mut websocket) = (balancer.rng.usize(..SHARDS), WebSocket::new());
        let socket = websocket.socket();
        http.open_websocket(shard, revision, socket).ok()?;
        let session = Session::new(&world, name, balancer.place, balancer.roams);
        session.note("comes");
        websocket.fill();
        let first = match websocket.next() {
            Some(Incoming::Text(text)) => read_packet(&text),
            _ => None,
        };
        let Some(Packet::Open(sid)) = first else {
            session.violate("the session is not opened");
            return None;
        };
        let sid = Sid::parse(&sid)?;
        let transport = Transport::WebSocket(websocket);
        let mut visit = Self::new(balancer, session, revision, sid, transport);
        visit.greet();
        Some(visit)
    }

    fn new(
        balancer: Balancer,
        session: Session,
        revision: Revision,
        sid: Sid,
        transport: Transport,
    ) -> Self {
        Self {
            session,
            revision,
            sid,
            transport,
            balancer,
            outgoing: Vec::new(),
            is_joined: false,
            next_ping: Instant::now() + PING_INTERVAL / 2,
            cause: None,
            doomed: None,
            is_leaving: false,
        }
    }

    /// Clients of Engine.IO 4 join the namespace by themselves.
    fn greet(&mut self) {
        if self.revision == Revision::V4 {
            self.outgoing.push("40".to_owned());
        }
        // Those of Engine.IO 3 have no id but the session's.
        self.session.set_id(self.sid.to_string());
    }

    fn world(&self) -> &World {
        &self.balancer.world
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the client may ask for something: nothing is about to end.
    pub(crate) const fn is_well(&self) -> bool {
        self.is_joined && self.cause.is_none()
    }

    /// Asks for channels, or leaves them.
    pub(crate) fn ask(&mut self, subscribes: bool, channels: &[String]) {
        let number = self.session.ask(subscribes, channels);
        self.outgoing.push(packet_of(number, subscribes, channels));
    }

    /// From now on the session may end, for this reason.
    fn may_end(&mut self, cause: &'static str) {
        self.session.note(cause);
        self.balancer.world.step(cause);
        self.cause = Some(cause);
    }

    /// From now on the session must end.
    pub(crate) fn doom(&mut self, cause: &'static str, since: Instant) {
        self.may_end(cause);
        self.doomed = Some(since);
    }

    /// An answer, or a GET, does not arrive: the session must end. If the GET was to reach another
    /// node, nothing may have become of it, and then the session goes on without a loss.
    fn lose(&mut self, cause: &'static str) {
        self.doom(cause, Instant::now());
        if self.balancer.roams {
            self.session.suspect();
        }
    }

    /// The polling of a session with one GET that waits.
    fn plain_polling(&mut self) -> Option<&mut Polling> {
        match &mut self.transport {
            Transport::Polling(polling) if polling.is_plain() => Some(polling),
            _ => None,
        }
    }

    /// Gives up the GET that waits.
    pub(crate) fn abort_poll(&mut self) {
        // A connection that broke with its node is not given up: the client sees the error first.
        if let Some(polling) = self.plain_polling()
            && !polling.has_lost_a_node()
        {
            polling.abort();
            self.lose("client aborts a poll");
        }
    }

    /// Sends a second GET.
    pub(crate) fn repeat_poll(&mut self) -> State {
        let way = self.balancer.next();
        let Some(((http, shard), polling)) = way.zip(self.plain_polling()) else {
            return State::Open;
        };
        let sent = polling.get(&http, shard);
        self.may_end("client polls twice");
        match sent {
            Ok(()) => State::Open,
            Err(error) => self.ended(&error.to_string()),
        }
    }

    /// Begins to upgrade to a WebSocket.
    pub(crate) fn upgrade(&mut self) {
        if self.balancer.roams {
            // Its WebSocket would have to reach its node, or be carried through real sockets.
            return;
        }
        let node = self.world().node(self.balancer.place);
        if let Some((node, polling)) = node.zip(self.plain_polling()) {
            polling.upgrade(&node.http());
            self.world().step("client upgrades");
            self.ready();
        }
    }

    /// Says goodbye: the session ends when the server has heard of it.
    pub(crate) fn leave(&mut self) {
        self.may_end("client says goodbye");
        self.is_leaving = true;
        self.outgoing.extend(["41".to_owned(), "1".to_owned()]);
    }

    /// Goes without a word.
    pub(crate) fn vanish(self) {
        self.session.note("vanishes");
        self.world().step("client leaves");
        if let Transport::WebSocket(websocket) = &self.transport {
            websocket.socket().close();
        }
        self.ready();
    }

    /// The system tells the shard of the session that sockets are ready.
    fn ready(&self) {
        let websocket = match &self.transport {
            Transport::WebSocket(websocket) => Some(websocket),
            Transport::Polling(polling) => polling.probe(),
        };
        let node = self.world().node(self.balancer.place);
        if let Some((websocket, node)) = websocket.zip(node) {
            node.ready(usize::from(self.sid.shard.0), websocket.socket());
        }
    }

    /// At rest: everything that was promised has come. Returns the channels that the client wants,
    /// each with the node of its session.
    pub(crate) fn check_at_rest(&self) -> Vec<(usize, Member)> {
        if self.doomed.is_some() && self.session.is_suspected() && self.session.acquit() {
            return self.session.check_at_rest();
        }
        if let Some(cause) = self.cause {
            self.session
                .violate(&format!("lives at rest although {cause}"));
        }
        self.session.check_at_rest()
    }
}
