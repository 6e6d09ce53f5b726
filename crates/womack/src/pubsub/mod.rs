//! The subscription link to Redis, whichever of its kinds it is.
//!
//! A link never ends: where a connection breaks, it is made again, and what was lost with it comes
//! as an [`Event`]. Its connections are tasks of their own, which empty their sockets into a
//! backlog whatever the shards do. What a loss means, and what is asked for again, is the router's
//! affair.

mod backlog;
mod cluster;
mod connection;
mod owed;
mod single;
mod socket;
mod wishes;

use std::{sync::Arc, time::SystemTime};

use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
};
use womack_proto::redis::Message;

use self::backlog::Backlog;
use crate::{
    backend::{Backend, Kind},
    metrics::Metrics,
};

/// What the link brings, in order.
pub(crate) enum Event {
    /// Something was published.
    Message(Message),
    /// From here on these channels bring what is published on them.
    Live(Vec<Arc<str>>),
    /// The link stands, and everything that was asked for is live.
    Settled,
    /// These channels, or all, bring nothing any more until they are live again.
    Lost(Loss),
    /// Redis, or a part of it, cannot be reached, for this reason. It is tried again.
    Failed(String),
}

/// What is lost with a connection.
pub(crate) struct Loss {
    /// The channels; `None` if it is all.
    pub(crate) channels: Option<Vec<Arc<str>>>,
    /// What was published before that has been received.
    pub(crate) since: SystemTime,
    pub(crate) reason: String,
}

/// A channel that is wanted, and its aliases: channels that are asked for with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wish {
    pub(crate) channel: Arc<str>,
    pub(crate) aliases: Vec<Arc<str>>,
}

impl Wish {
    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        [&self.channel].into_iter().chain(&self.aliases)
    }
}

/// What is subscribed as long as the link stands, whoever is there.
#[derive(Clone, Default)]
pub(crate) struct Standing {
    pub(crate) channels: Vec<Arc<str>>,
    pub(crate) patterns: Vec<String>,
}

impl Standing {
    const fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }
}

/// What a link is told.
enum Command {
    Ask(Vec<Wish>),
    GiveUp(Vec<Wish>),
    /// After a loss of everything: all that is wanted has been asked for again.
    Restored,
    /// Bring what stands; said to a node of a cluster only.
    Stand(Standing),
}

/// The subscription link.
pub(crate) struct Link {
    backlog: Arc<Backlog>,
    commands: UnboundedSender<Command>,
    task: JoinHandle<()>,
}

impl Link {
    /// Begins to connect. Up to `most` bytes of messages are kept that nobody has taken; beyond,
    /// they wait at Redis.
    pub(crate) fn open(
        backend: Backend,
        standing: Standing,
        most: usize,
        metrics: &Metrics,
    ) -> Self {
        let backlog = Arc::new(Backlog::new(most, metrics));
        let (commands, receiver) = unbounded_channel();
        let kept = backlog.clone();
        let task = match backend.kind {
            Kind::Cluster(_) => tokio::spawn(cluster::run(backend, standing, kept, receiver)),
            _ => tokio::spawn(single::run(backend, standing, kept, receiver)),
        };
        Self {
            backlog,
            commands,
            task,
        }
    }

    /// Waits for events, then moves up to `most` of those that are there to the end of `batch`.
    /// Losing this future loses nothing.
    pub(crate) async fn receive(&self, batch: &mut Vec<Event>, most: usize) {
        self.backlog.take(batch, most).await;
    }

    /// Asks for channels; [`Event::Live`] tells when they are.
    pub(crate) fn ask(&self, wishes: Vec<Wish>) {
        self.tell(Command::Ask(wishes));
    }

    /// Gives channels up.
    pub(crate) fn give_up(&self, wishes: Vec<Wish>) {
        self.tell(Command::GiveUp(wishes));
    }

    /// Everything that is wanted has been asked for, at the start or after a loss of everything;
    /// before that the link is not made.
    pub(crate) fn restored(&self) {
        self.tell(Command::Restored);
    }

    fn tell(&self, command: Command) {
        // The task ends with the link only, or with its thread.
        self.commands.send(command).ok();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}
