//! Requests of clients that have reached this node, for sessions of other nodes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::spawn_local,
};
use womack_engine::{ClientSocket, RequestKind, SessionRequest, number};
use womack_ledger::Limit;
use womack_proto::{
    Answer, Frame, SessionError,
    relay::{Flow, Kind, Wish},
    session_error::NOT_HANDSHAKEN,
};
use womack_redis::clock;

use super::{
    context::RelayContext,
    event::Event,
    ordered::Map,
    outgoing::Outgoing,
    place::{End, Place},
    tunnel,
};

/// The answer to a client whose session's node is gone.
const NODE_GONE: Answer = Answer::Refused(SessionError::NodeGone);
/// The answer to a client whose request was under way when a node lost its link.
const ENDED: Answer = Answer::Refused(SessionError::Ended);

/// Requests that wait for another node.
pub(super) struct Ingress {
    context: Arc<RelayContext>,
    events: UnboundedSender<Event>,
    waiting: Map<u64, Waiting>,
    tunnels: Map<u64, Tunnel>,
}

struct Waiting {
    owner: u32,
    /// When the client is not kept waiting any longer.
    until: Instant,
    /// Whether the owner was told that it is enough.
    is_ending: bool,
    reply: oneshot::Sender<Answer>,
}

struct Tunnel {
    owner: u32,
    incoming: UnboundedSender<Flow>,
    /// Whether its client speaks Socket.IO 0.9, and has to be told if it is to come back.
    is_legacy: bool,
}

impl Ingress {
    pub(super) fn new(context: Arc<RelayContext>, events: UnboundedSender<Event>) -> Self {
        Self {
            context,
            events,
            waiting: Map::default(),
            tunnels: Map::default(),
        }
    }

    /// Passes a request on. Where this node is about to go, a poll does not wait.
    pub(super) fn take(
        &mut self,
        request: SessionRequest,
        is_draining: bool,
        outgoing: &mut Outgoing,
    ) {
        let SessionRequest { sid, kind } = request;
        match kind {
            RequestKind::PollAborted { token } => {
                if self.remove(token).is_some() {
                    outgoing.say(sid.node, token, Kind::Gone);
                }
                return;
            }
            RequestKind::AnswerLost { loss } => {
                let owner = sid.node;
                let sid = sid.to_string();
                return outgoing.say(owner, 0, Kind::Lost { sid, loss });
            }
            _ => {}
        }
        if let Some(limit) = self.reached(outgoing) {
            self.context.limits.reached(limit);
            return self.refuse(kind);
        }
        let owner = sid.node;
        let config = &self.context.config;
        // A session that has not answered by then has timed out itself.
        let poll_time = config.poll_timeout + config.timeout;
        let (number, wish) = match kind {
            RequestKind::Poll {
                token,
                stamp,
                answer,
            } => {
                self.wait(token, owner, poll_time, answer);
                (token, Wish::Poll { stamp })
            }
            RequestKind::Post { body, answer } => {
                let number = number();
                self.wait(number, owner, config.timeout, answer);
                (number, Wish::Post(body))
            }
            RequestKind::Upgrade { socket, early } => {
                (self.open_tunnel(owner, socket, false), Wish::Upgrade(early))
            }
            RequestKind::Attach { socket, early } => {
                (self.open_tunnel(owner, socket, true), Wish::Attach(early))
            }
            RequestKind::Goodbye
            | RequestKind::PollAborted { .. }
            | RequestKind::AnswerLost { .. }
            | RequestKind::PollEnough { .. } => (number(), Wish::Goodbye),
        };
        let sid = sid.to_string();
        let is_poll = matches!(wish, Wish::Poll { .. });
        outgoing.say(owner, number, Kind::Ask { sid, wish });
        if is_draining && is_poll {
            outgoing.say(owner, number, Kind::Enough);
        }
        self.count();
    }

    /// The owner's answer to a request. One with packets for which nobody waits any more is
    /// reported back, since its session has them no more.
    pub(super) fn answer(
        &mut self,
        (owner, number): Place,
        answer: Answer,
        outgoing: &mut Outgoing,
    ) {
        if self.owner_of(number) == Some(owner) {
            // It has no session for the WebSocket.
            return self.close(number);
        }
        let has_packets = matches!(answer, Answer::Packets(..));
        let is_its = |waiting: &Waiting| waiting.owner == owner;
        let is_waiting = self.waiting.get(&number).is_some_and(is_its);
        let waiting = is_waiting.then(|| self.remove(number)).flatten();
        let is_taken = waiting.is_some_and(|found| self.reply(found.reply, answer, "answered"));
        if has_packets && !is_taken {
            outgoing.say(owner, number, Kind::Gone);
        }
    }

    /// Bytes of the owner for a WebSocket. If there is none, the owner is told that it has ended.
    pub(super) fn flow(&self, (owner, number): Place, flow: Flow, outgoing: &mut Outgoing) {
        if let Some(tunnel) = self
            .tunnels
            .get(&number)
            .filter(|found| found.owner == owner)
        {
            // A tunnel's task that has ended says so itself.
            let flow = tunnel::keep(flow, &self.context.ledger);
            tunnel.incoming.send(flow).ok();
        } else if matches!(flow, Flow::Bytes(_)) {
            outgoing.say(owner, number, Kind::Forth(Flow::End));
        }
    }

    /// The owner of the WebSocket that `number` brought.
    pub(super) fn owner_of(&self, number: u64) -> Option<u32> {
        self.tunnels.get(&number).map(|tunnel| tunnel.owner)
    }

    /// A tunnel's task has ended.
    pub(super) fn closed(&mut self, number: u64) {
        self.tunnels.swap_remove(&number);
        self.count();
    }

    /// Gives up what takes too long.
    pub(super) fn expire(&mut self, now: Instant, outgoing: &mut Outgoing) {
        let late = |_: &u64, waiting: &mut Waiting| waiting.until <= now;
        let late: Vec<_> = self.waiting.extract_if(.., late).collect();
        for (number, waiting) in late {
            self.context.limits.reached(Limit::RelayTimeoutSeconds);
            outgoing.say(waiting.owner, number, Kind::Gone);
            self.reply(waiting.reply, NODE_GONE, "late");
        }
        self.count();
    }

    /// This node is about to go: polls are to be answered without waiting, so that their clients
    /// ask another node.
    pub(super) fn end_polls(&mut self, outgoing: &mut Outgoing) {
        for (number, waiting) in &mut self.waiting {
            if !std::mem::replace(&mut waiting.is_ending, true) {
                outgoing.say(waiting.owner, *number, Kind::Enough);
            }
        }
    }

    /// This node is about to go: ends up to `count` WebSockets, whose clients come again.
    pub(super) fn close_some(&mut self, count: usize) {
        let numbers: Vec<_> = self.tunnels.keys().copied().take(count).collect();
        numbers.into_iter().for_each(|number| self.close(number));
    }

    /// How many WebSockets have their session at another node.
    pub(super) fn tunnels(&self) -> usize {
        self.tunnels.len()
    }

    /// Whether nothing waits for another node.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.tunnels.is_empty()
    }

    /// A node is not there any more, and its sessions are not either.
    pub(super) fn lost(&mut self, owner: u32) {
        for waiting in self.end_all_of(owner) {
            self.reply(waiting.reply, NODE_GONE, "lost");
        }
    }

    /// An owner has lost its link and has another: it has ended everything that it was asked for.
    /// Clients open other sessions.
    pub(super) fn relinked(&mut self, owner: u32) {
        for waiting in self.end_all_of(owner) {
            self.reply(waiting.reply, ENDED, "unlinked");
        }
    }

    /// Ends the WebSockets of an owner, and takes the requests out that wait for it.
    fn end_all_of(&mut self, owner: u32) -> Vec<Waiting> {
        let its = |_: &u64, waiting: &mut Waiting| waiting.owner == owner;
        let waiting = self.waiting.extract_if(.., its);
        let requests = waiting.map(|(_, waiting)| waiting).collect();
        let tunnels = self.tunnels.iter();
        let its: Vec<_> = tunnels
            .filter_map(|(number, tunnel)| (tunnel.owner == owner).then_some(*number))
            .collect();
        its.into_iter().for_each(|number| self.close(number));
        self.count();
        requests
    }

    /// The link is lost, and with it what is under way.
    pub(super) fn unlinked(&mut self, outgoing: &mut Outgoing) {
        for (number, waiting) in std::mem::take(&mut self.waiting) {
            // Their clients give their sessions up. An answer may have been on its way.
            outgoing.say(waiting.owner, number, Kind::Gone);
            self.reply(waiting.reply, ENDED, "unlinked");
        }
        self.tunnels.clear();
        self.count();
    }

    /// The nodes that owe something.
    pub(super) fn partners(&self) -> impl Iterator<Item = u32> {
        let waiting = self.waiting.values().map(|waiting| waiting.owner);
        waiting.chain(self.tunnels.values().map(|tunnel| tunnel.owner))
    }

    /// The limit that is reached, if one is.
    fn reached(&self, outgoing: &Outgoing) -> Option<Limit> {
        let config = &self.context.config;
        if self.waiting.len() + self.tunnels.len() >= config.max_requests {
            Some(Limit::MaxRelayedRequests)
        } else if outgoing.bytes() >= config.max_bytes {
            Some(Limit::MaxRelayBytes)
        } else {
            None
        }
    }

    fn wait(&mut self, number: u64, owner: u32, time: Duration, reply: oneshot::Sender<Answer>) {
        let until = clock::now() + time;
        let waiting = Waiting {
            owner,
            until,
            is_ending: false,
            reply,
        };
        self.waiting.insert(number, waiting);
    }

    /// Begins a tunnel for the client's socket.
    fn open_tunnel(&mut self, owner: u32, socket: ClientSocket, is_legacy: bool) -> u64 {
        let number = number();
        let (sender, incoming) = unbounded_channel();
        let events = self.events.clone();
        spawn_local(tunnel::run(socket, End::Ingress(number), incoming, events));
        let tunnel = Tunnel {
            owner,
            incoming: sender,
            is_legacy,
        };
        self.tunnels.insert(number, tunnel);
        number
    }

    fn refuse(&self, kind: RequestKind) {
        let overloaded = Answer::Refused(SessionError::Overloaded);
        match kind {
            RequestKind::Poll { answer, .. } | RequestKind::Post { answer, .. } => {
                self.reply(answer, overloaded, "refused");
            }
            // Its WebSocket ends here; a session that polls goes on polling.
            _ => self.context.metrics.requested("refused"),
        }
    }

    /// Ends a WebSocket that has no session.
    fn close(&mut self, number: u64) {
        let Some(tunnel) = self.tunnels.swap_remove(&number) else {
            return;
        };
        if tunnel.is_legacy {
            let word = Frame::text(&[NOT_HANDSHAKEN.as_bytes()]).into_bytes();
            tunnel.incoming.send(Flow::Bytes(word)).ok();
        }
        tunnel.incoming.send(Flow::End).ok();
        self.count();
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let removed = self.waiting.swap_remove(&number);
        self.count();
        removed
    }

    /// Answers a client. False if it has gone.
    fn reply(&self, reply: oneshot::Sender<Answer>, answer: Answer, result: &'static str) -> bool {
        self.context.metrics.requested(result);
        reply.send(answer).is_ok()
    }

    fn count(&self) {
        let relay = &self.context.metrics;
        relay.under_way.set(self.waiting.len() as i64);
        relay.tunnels.set(self.tunnels.len() as i64);
    }
}
