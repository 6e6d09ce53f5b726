//! The relay: carries requests of clients to the node of their session.
//!
//! Behind a balancer that knows nothing of sessions, a polling request or a WebSocket that upgrades
//! a session may reach any node. The node that it reaches is its *ingress*; the sid names the
//! session's node, its *owner*. They speak over Redis: each node subscribes to a channel of its
//! own, and whoever has something to say to it publishes there. At its owner, a carried request is
//! one like that of another shard, so a session does not know from where it is spoken to. A
//! WebSocket cannot move, so its bytes are carried in both directions, through a [`tunnel`].
//!
//! Nothing is stored at Redis, so what is under way when a link to it is lost is lost too. Each
//! link has an epoch that every message bears, and a node that has a new link says so first. Either
//! side then ends what was begun before, so the client always notices: its request is refused, or
//! its WebSocket ends.
//!
//! The relay has a thread and two connections to Redis of its own. Where every request reaches its
//! node, it has nothing to do but to stay subscribed.

mod context;
mod event;
mod ingress;
mod leaving;
mod link;
mod looks;
mod losses;
mod nodes;
mod ordered;
mod outgoing;
mod owner;
mod peers;
mod place;
mod recent_polls;
mod thread;
mod trust;
mod tunnel;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    select,
    sync::mpsc,
    time::{Interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use womack_engine::{Receiver, Sender, SessionRequest, Throttle, ToShard};
use womack_proto::relay::{Kind, Message, Unreadable};
use womack_redis::{Backend, Backoff, clock};

pub use self::{
    context::{RelayConfig, RelayContext, RelayContextParts},
    thread::RelayTask,
};
use self::{
    event::Event,
    ingress::Ingress,
    link::{Failure, Link, Published},
    looks::looks,
    nodes::Heard,
    outgoing::Outgoing,
    owner::Owner,
    peers::Peers,
    place::End,
    trust::Trust,
};
use crate::thread::Thread;

/// Requests that are taken at one go.
const REQUESTS_PER_BATCH: usize = 512;
/// For how long after a link came to stand others may still be on their way back: Redis was away
/// for them as well.
const RETURN: Duration = Duration::from_secs(2);

/// Between two lines of the log that say that messages are of no node with the same secret.
const UNTRUSTED_LINES: Duration = Duration::from_secs(60);

/// Everything that the relay is made of.
pub struct Relay {
    /// The Redis over which nodes speak.
    pub backend: Backend,
    /// Requests for sessions of other nodes.
    pub queue: Receiver<SessionRequest>,
    /// The queues of this node's shards.
    pub shards: Vec<Sender<ToShard>>,
    /// State that the parts of the relay share.
    pub context: Arc<RelayContext>,
    /// Cancelled when the shards have ended.
    pub finish: CancellationToken,
}

impl Relay {
    /// Starts the relay's thread.
    ///
    /// # Errors
    /// The system refuses a runtime or a thread.
    pub fn start(self) -> io::Result<RelayTask> {
        let finish = self.finish.clone();
        Thread::start("womack-relay", finish, || self.run()).map(RelayTask)
    }

    /// Runs in a `LocalSet` of the caller, in place of a thread.
    #[cfg(feature = "simulation")]
    pub async fn run_here(self) {
        self.run().await;
    }

    /// Runs until the shards have ended and what they answered has been said.
    async fn run(self) {
        // Bounded where it comes from: requests have one answer, and a tunnel has a window.
        let (events, incoming) = mpsc::unbounded_channel();
        let timeout = self.context.config.timeout;
        let mut running = Running {
            ingress: Ingress::new(self.context.clone(), events.clone()),
            owner: Owner::new(self.context.clone(), self.shards.clone(), events),
            outgoing: Outgoing::new(self.context.node, self.context.ledger.clone()),
            peers: Peers::new(timeout),
            looks: looks(timeout, RETURN),
            incoming,
            requests: Vec::new(),
            backoff: Backoff::default(),
            failures: Throttle::new(Duration::from_secs(10)),
            trust: Trust::new(self.context.node, self.context.config.secret.clone()),
            untrusted: Throttle::new(UNTRUSTED_LINES),
            since: clock::now(),
            leaving: None,
            relay: self,
        };
        loop {
            let Some(link) = running.connect().await else {
                return;
            };
            match running.serve(link).await {
                None => return,
                Some(failure) => running.unlinked(&failure),
            }
        }
    }
}

struct Running {
    relay: Relay,
    ingress: Ingress,
    owner: Owner,
    outgoing: Outgoing,
    peers: Peers,
    looks: Interval,
    incoming: mpsc::UnboundedReceiver<Event>,
    requests: Vec<SessionRequest>,
    backoff: Backoff,
    failures: Throttle,
    trust: Trust,
    /// How often the log says that a message is of no node with the same secret.
    untrusted: Throttle,
    /// When the link came to stand.
    since: Instant,
    /// When the end of this node began, and how many WebSockets were carried then.
    leaving: Option<(Instant, usize)>,
}

impl Running {
    /// Connects, trying again and again. `None` when the server ends meanwhile.
    async fn connect(&mut self) -> Option<Link> {
        loop {
            let wait = self.backoff.wait().unwrap_or_default();
            let context = &self.relay.context;
            let channel = channel(&context.config.key, context.node);
            let backend = self.relay.backend.clone();
            let connecting = async {
                sleep(wait).await;
                Link::connect(&backend, channel).await
            };
            let mut connecting = std::pin::pin!(connecting);
            let failure = loop {
                select! {
                    biased;
                    () = self.relay.finish.cancelled() => return None,
                    connected = &mut connecting => match connected {
                        Ok(link) => return Some(link),
                        Err(failure) => break failure,
                    },
                    _ = self.looks.tick() => self.look(),
                    Some(event) = self.incoming.recv() => self.event(event),
                    () = self.relay.queue.receive(&mut self.requests, REQUESTS_PER_BATCH) => {
                        self.take_requests();
                    }
                }
            };
            self.failed(&failure);
        }
    }

    fn failed(&mut self, failure: &Failure) {
        self.backoff.failed();
        // A Redis that forbids it is no reason to keep clients away.
        self.relay.context.set_reachable(failure.is_refusal());
        if let Some(held_back) = self.failures.pass(clock::now()) {
            let missing_rule = failure.missing_rule(&self.relay.context.config.key);
            warn!(
                %failure, missing_rule, held_back,
                "requests cannot be carried to other nodes; trying again"
            );
        }
    }

    /// Serves until the link is lost; `None` when the server has ended.
    async fn serve(&mut self, mut link: Link) -> Option<Failure> {
        self.since = clock::now();
        self.backoff.succeeded();
        self.relay.context.set_reachable(true);
        self.relay.context.metrics.connected.set(1);
        info!("requests are carried to other nodes and from them");
        let mut messages = Vec::new();
        let mut finishing = false;
        loop {
            self.publish(&mut link);
            if finishing && self.has_left() {
                return self.last_answers(link).await;
            }
            select! {
                // The order is fixed so that a simulation repeats it. The last have their turn all
                // the same: messages and answers are brought by tasks of this thread, which run
                // only when this one waits.
                biased;
                () = self.relay.finish.cancelled(), if !finishing => finishing = true,
                _ = self.looks.tick() => self.look(),
                heard = link.next(&mut messages) => match heard {
                    Ok(published) => self.heard(&mut messages, published),
                    Err(failure) => return Some(failure),
                },
                Some(event) = self.incoming.recv() => self.event(event),
                () = self.relay.queue.receive(&mut self.requests, REQUESTS_PER_BATCH) => {
                    self.take_requests();
                }
            }
        }
    }

    /// Publishes what waits, unless something is being published: nothing may overtake it.
    fn publish(&mut self, link: &mut Link) {
        if !link.may_publish() || self.outgoing.is_empty() {
            return;
        }
        let batch = self.outgoing.take();
        let key = &self.relay.context.config.key;
        let trust = &mut self.trust;
        link.publish(
            batch
                .iter()
                .map(|said| (channel(key, said.to), trust.wrap(said.to, &said.bytes))),
        );
        self.outgoing.under_way = batch;
    }

    fn heard(&mut self, messages: &mut Vec<Vec<u8>>, published: Option<Published>) {
        for message in messages.drain(..) {
            self.message(message);
        }
        if let Some(receivers) = published {
            self.published(receivers);
        }
    }

    fn take_requests(&mut self) {
        let is_draining = self.relay.context.is_draining();
        for request in self.requests.drain(..) {
            self.ingress.take(request, is_draining, &mut self.outgoing);
        }
    }

    /// What another node says.
    fn message(&mut self, bytes: Vec<u8>) {
        let now = clock::now();
        let message = match self.trust.read(&bytes.into()) {
            Ok(message) => message,
            Err(why) => return self.skip(why, now),
        };
        match self.outgoing.nodes.heard(&message, now) {
            Heard::SameLink => {}
            Heard::NewLink => self.relinked(message.node),
            Heard::NewLinkOfUnknown => self.owner.end_all_of(message.node, now),
            Heard::OldLink => return self.relay.context.metrics.outdated(),
        }
        let Message {
            node, number, kind, ..
        } = message;
        self.outgoing.heard(node);
        self.peers.heard(node, now);
        let place = (node, number);
        match kind {
            Kind::Ask { sid, wish } => {
                let is_draining = self.relay.context.is_draining();
                self.owner
                    .ask(place, &sid, wish, is_draining, &mut self.outgoing);
            }
            Kind::Gone => self.owner.gone(place, now),
            Kind::Lost { sid, loss } => self.owner.lost(&sid, loss),
            Kind::Enough => self.owner.enough(place),
            Kind::Answer(answer) => self.ingress.answer(place, answer, &mut self.outgoing),
            Kind::Forth(flow) => self.owner.flow(place, flow, &mut self.outgoing),
            Kind::Back(flow) => self.ingress.flow(place, flow, &mut self.outgoing),
            Kind::Hello { .. } => self.outgoing.say(node, number, Kind::Here),
            Kind::Here => {}
        }
    }

    fn skip(&mut self, why: Unreadable, now: Instant) {
        self.relay.context.metrics.skipped(why);
        let remedy = match why {
            Unreadable::UnexpectedMac => "set the same relay-secret here as on the other nodes",
            Unreadable::MissingMac | Unreadable::WrongMac => {
                "give all nodes the same relay-secret, and let nobody else publish on the channels \
                 of relay-key (Redis ACL)"
            }
            Unreadable::Repeated => {
                "let nobody but nodes publish on the channels of relay-key (Redis ACL)"
            }
            // Nodes of later versions say such things.
            Unreadable::Version(_) | Unreadable::Kind(_) | Unreadable::Malformed => return,
        };
        if let Some(held_back) = self.untrusted.pass(now) {
            warn!(reason = %why, remedy, held_back, "a message of another node was dropped");
        }
    }

    fn event(&mut self, event: Event) {
        let now = clock::now();
        let is_draining = self.relay.context.is_draining();
        match event {
            Event::Answered(place, answer) => {
                let answer = answer.of_server(is_draining);
                self.owner.answered(place, answer, now, &mut self.outgoing);
            }
            Event::Flow(End::Ingress(number), flow) => {
                if let Some(owner) = self.ingress.owner_of(number) {
                    self.outgoing.say(owner, number, Kind::Forth(flow));
                }
            }
            Event::Flow(End::Owner((node, number)), flow) => {
                self.outgoing.say(node, number, Kind::Back(flow));
            }
            Event::Closed(End::Ingress(number)) => self.ingress.closed(number),
            Event::Closed(End::Owner(place)) => self.owner.closed(place),
        }
    }
}

/// The Redis channel on which a node listens.
fn channel(key: &str, node: u32) -> String {
    format!("{key}:{node:08x}")
}
