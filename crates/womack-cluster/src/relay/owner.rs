//! Requests that other nodes bring for sessions of this node.

use std::{
    io, net,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use tokio::{
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::spawn_local,
};
use womack_engine::{
    ClientSocket, RequestKind, Sender, SessionRequest, Sid, SocketSlots, ToShard, number,
};
use womack_ledger::{AddressShare, Limit};
use womack_proto::{
    Answer, SessionError,
    relay::{AnswerLoss, Flow, Kind, Wish},
};

use super::{
    context::RelayContext,
    event::Event,
    ordered::Map,
    outgoing::Outgoing,
    place::{End, Place},
    recent_polls::{RecentPoll, RecentPolls},
    tunnel,
};

/// What sessions of this node owe other nodes.
pub(super) struct Owner {
    context: Arc<RelayContext>,
    shards: Vec<Sender<ToShard>>,
    events: UnboundedSender<Event>,
    /// Requests that are not answered; of polls, what is known of them.
    requests: Map<Place, Option<OpenPoll>>,
    /// Polls that were answered, or given up, a short while ago.
    recent: RecentPolls,
    tunnels: Map<Place, UnboundedSender<Flow>>,
    has_served: bool,
}

/// A poll that is not answered.
struct OpenPoll {
    sid: Sid,
    /// What its session calls it.
    token: u64,
    /// As `womack_proto::Handshake::stamp`.
    stamp: Option<u64>,
}

impl OpenPoll {
    const fn answered(&self, place: Place, now: Instant) -> RecentPoll {
        RecentPoll {
            place,
            sid: self.sid,
            stamp: self.stamp,
            answered: now,
        }
    }
}

impl Owner {
    pub(super) fn new(
        context: Arc<RelayContext>,
        shards: Vec<Sender<ToShard>>,
        events: UnboundedSender<Event>,
    ) -> Self {
        Self {
            context,
            shards,
            events,
            requests: Map::default(),
            recent: RecentPolls::default(),
            tunnels: Map::default(),
            has_served: false,
        }
    }

    /// Brings a request to its session.
    pub(super) fn ask(
        &mut self,
        place: Place,
        sid: &str,
        wish: Wish,
        is_draining: bool,
        outgoing: &mut Outgoing,
    ) {
        self.has_served = true;
        self.context.metrics.served.inc();
        if let Err(mut error) = self.try_ask(place, sid, wish) {
            if is_draining {
                // The shard has ended, and its sessions with it.
                error = SessionError::Ended;
            }
            let (ingress, number) = place;
            outgoing.say(ingress, number, Kind::Answer(Answer::Refused(error)));
        }
    }

    fn try_ask(&mut self, place: Place, sid: &str, wish: Wish) -> Result<(), SessionError> {
        let sid = self.own(sid).ok_or(SessionError::UnknownSid)?;
        let most = self.context.config.max_requests;
        if self.requests.len() + self.tunnels.len() >= most {
            self.context.limits.reached(Limit::MaxRelayedRequests);
            return Err(SessionError::Overloaded);
        }
        match wish {
            Wish::Poll { stamp } => {
                let (answer, answered) = oneshot::channel();
                let token = number();
                let kind = RequestKind::Poll {
                    token,
                    stamp,
                    answer,
                };
                self.hand(sid, kind)?;
                self.requests
                    .insert(place, Some(OpenPoll { sid, token, stamp }));
                self.tell_later(answer_for(place, answered));
            }
            Wish::Post(body) => {
                let (answer, answered) = oneshot::channel();
                let body = self.context.ledger.keep(body);
                self.hand(sid, RequestKind::Post { body, answer })?;
                self.requests.insert(place, None);
                self.tell_later(answer_for(place, answered));
            }
            Wish::Upgrade(early) => {
                self.open_tunnel(place, sid, early, |socket, early| RequestKind::Upgrade {
                    socket,
                    early,
                })?;
            }
            Wish::Attach(early) => {
                self.open_tunnel(place, sid, early, |socket, early| RequestKind::Attach {
                    socket,
                    early,
                })?;
            }
            Wish::Goodbye => self.hand(sid, RequestKind::Goodbye)?,
        }
        Ok(())
    }

    /// The client of a request went away. If the request is answered already, the answer has found
    /// nobody, and its session must not go on without what it brought.
    pub(super) fn gone(&mut self, place: Place, now: Instant) {
        match self.requests.swap_remove(&place) {
            Some(Some(poll)) => {
                // The session may be answering just now.
                self.recent.add(poll.answered(place, now));
                let aborted = RequestKind::PollAborted { token: poll.token };
                // When the queue is full, the session ends with its next time-out instead.
                self.hand(poll.sid, aborted).ok();
            }
            Some(None) => {}
            None => self.answer_lost(place),
        }
    }

    /// The answer to a poll has not reached its client, or may not have.
    pub(super) fn lost(&self, sid: &str, loss: AnswerLoss) {
        if let Some(sid) = self.own(sid) {
            self.report_loss(sid, loss);
        }
    }

    /// The answer to the poll at `place` has reached nobody.
    pub(super) fn answer_lost(&mut self, place: Place) {
        if let Some(sid) = self.recent.remove(place) {
            self.report_loss(sid, AnswerLoss::Certain);
        }
    }

    fn report_loss(&self, sid: Sid, loss: AnswerLoss) {
        let shard = self.shards[usize::from(sid.shard.0)].clone();
        let kind = RequestKind::AnswerLost { loss };
        let request = Box::new(SessionRequest { sid, kind });
        // The session must hear of it, so a queue that is full is waited for.
        spawn_local(async move {
            shard.push_waiting(ToShard::Request(request)).await;
            shard.wake();
        });
    }

    /// The node that a poll has reached is about to go.
    pub(super) fn enough(&self, place: Place) {
        if let Some(Some(poll)) = self.requests.get(&place) {
            let enough = RequestKind::PollEnough { token: poll.token };
            // When the queue is full, the client has to wait until its connection breaks.
            self.hand(poll.sid, enough).ok();
        }
    }

    /// A session has answered a request.
    pub(super) fn answered(
        &mut self,
        place: Place,
        answer: Answer,
        now: Instant,
        outgoing: &mut Outgoing,
    ) {
        let has_packets = matches!(answer, Answer::Packets(..));
        let Some(request) = self.requests.swap_remove(&place) else {
            // Its client went away while the session answered.
            if has_packets {
                self.answer_lost(place);
            }
            return;
        };
        if let Some(poll) = request.filter(|_| has_packets) {
            self.recent.add(poll.answered(place, now));
        }
        let (ingress, number) = place;
        outgoing.say(ingress, number, Kind::Answer(answer));
    }

    /// Bytes of the client for a WebSocket. If there is none, the ingress is told that it has
    /// ended.
    pub(super) fn flow(&self, place: Place, flow: Flow, outgoing: &mut Outgoing) {
        if let Some(incoming) = self.tunnels.get(&place) {
            // A tunnel's task that has ended says so itself.
            incoming.send(tunnel::keep(flow, &self.context.ledger)).ok();
        } else if matches!(flow, Flow::Bytes(_)) {
            let (ingress, number) = place;
            outgoing.say(ingress, number, Kind::Back(Flow::End));
        }
    }

    /// A tunnel's task has ended.
    pub(super) fn closed(&mut self, place: Place) {
        self.tunnels.swap_remove(&place);
    }

    /// A node is not there any more, which was last heard at `heard`. Nobody will say what became of
    /// the answers that it had for its clients.
    pub(super) fn node_lost(&mut self, ingress: u32, heard: Option<Instant>, now: Instant) {
        for poll in self.recent.remove_all_of(ingress) {
            if let Some(loss) = poll.loss(heard) {
                self.report_loss(poll.sid, loss);
            }
        }
        self.end_all_of(ingress, now);
    }

    /// A node has lost its link: it does not wait any longer for what it asked for.
    pub(super) fn end_all_of(&mut self, ingress: u32, now: Instant) {
        let places: Vec<_> = self.requests.keys().copied().collect();
        for place in places.into_iter().filter(|(node, _)| *node == ingress) {
            self.gone(place, now);
        }
        self.tunnels.retain(|(node, _), _| *node != ingress);
    }

    /// The link is lost: nodes that hear of the next one do not wait any longer for what they asked
    /// for. Answers at `unsaid` may not have been published.
    pub(super) fn unlinked(&mut self, unsaid: Vec<Place>, now: Instant) {
        for place in self.requests.keys().copied().collect::<Vec<_>>() {
            self.gone(place, now);
        }
        for place in unsaid {
            self.answer_lost(place);
        }
        // What other nodes have said of these over the link that is lost may not have come.
        for poll in self.recent.iter() {
            if let Some(loss) = poll.loss_with_link(now) {
                self.report_loss(poll.sid, loss);
            }
        }
        self.tunnels.clear();
    }

    /// Forgets polls that were answered long ago.
    pub(super) fn expire(&mut self, now: Instant) {
        self.recent.expire(now);
    }

    /// The nodes that requests have come from, and that may yet say what became of an answer.
    pub(super) fn partners(&self) -> impl Iterator<Item = u32> {
        let requests = self.requests.keys().chain(self.tunnels.keys());
        requests
            .map(|(ingress, _)| *ingress)
            .chain(self.recent.ingresses())
    }

    /// Whether any request has ever been brought here.
    pub(super) const fn has_served(&self) -> bool {
        self.has_served
    }

    /// Gives the shard of `sid` one socket of a pair, and begins a tunnel with the other.
    fn open_tunnel(
        &mut self,
        place: Place,
        sid: Sid,
        early: Bytes,
        kind: impl FnOnce(ClientSocket, Bytes) -> RequestKind,
    ) -> Result<(), SessionError> {
        let (inner, outer) = self.sockets()?;
        self.hand(sid, kind(inner, early))?;
        let (sender, incoming) = unbounded_channel();
        let events = self.events.clone();
        spawn_local(tunnel::run(outer, End::Owner(place), incoming, events));
        self.tunnels.insert(place, sender);
        Ok(())
    }

    /// Two sockets that are connected, and count among those of clients.
    fn sockets(&self) -> Result<(ClientSocket, ClientSocket), SessionError> {
        // The client's address is known to its ingress alone.
        let slot = || {
            let slot = self.context.sockets.take(None, AddressShare::Unlimited);
            slot.map_err(|_| {
                self.context.limits.reached(Limit::OpenFiles);
                SessionError::Overloaded
            })
        };
        let slots = (slot()?, slot()?);
        let (one, other) = pair().map_err(|error| {
            tracing::warn!(%error, "no sockets for a WebSocket of another node");
            SessionError::Overloaded
        })?;
        let socket = |stream, slot| ClientSocket {
            stream,
            slots: SocketSlots {
                descriptor: Some(slot),
                relayed: None,
            },
        };
        Ok((socket(one, slots.0), socket(other, slots.1)))
    }

    /// Reads the id of a session that this node may have.
    fn own(&self, sid: &str) -> Option<Sid> {
        Sid::parse(sid)
            .filter(|sid| sid.node == self.context.node)
            .filter(|sid| usize::from(sid.shard.0) < self.shards.len())
    }

    fn hand(&self, sid: Sid, kind: RequestKind) -> Result<(), SessionError> {
        let request = Box::new(SessionRequest { sid, kind });
        let shard = &self.shards[usize::from(sid.shard.0)];
        let handed = shard.send(ToShard::Request(request));
        handed.map_err(|_| SessionError::Overloaded)
    }

    fn tell_later(&self, event: impl Future<Output = Event> + 'static) {
        let events = self.events.clone();
        spawn_local(async move {
            // The relay has ended, and with it the process will.
            events.send(event.await).ok();
        });
    }
}

/// The answer of a session. A shard that has ended has ended its sessions with it.
async fn answer_for(place: Place, answered: oneshot::Receiver<Answer>) -> Event {
    let ended = Answer::Refused(SessionError::Ended);
    Event::Answered(place, answered.await.unwrap_or(ended))
}

/// Two sockets that are connected. What goes for streams of TCP goes for them.
///
/// # Errors
/// The system has no descriptors left.
pub(super) fn pair() -> io::Result<(net::TcpStream, net::TcpStream)> {
    let (one, other) = UnixStream::pair()?;
    Ok((OwnedFd::from(one).into(), OwnedFd::from(other).into()))
}

#[cfg(test)]
mod tests;
