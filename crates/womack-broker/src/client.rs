//! One client, as the broker knows it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::command::transaction::Transaction;
use crate::outbox::Outbox;
use crate::reply::Protocol;

/// Bookkeeping that one subscription costs beside its name, roughly.
const SUBSCRIPTION_BYTES: usize = 128;

/// The state that a client's commands change.
#[derive(Debug)]
pub(crate) struct Client {
    /// Never used twice, unlike the client's key.
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) connected: Instant,
    pub(crate) last_command: Instant,
    pub(crate) last_command_name: &'static str,
    /// Empty if the client has not named itself, as are the next two.
    pub(crate) name: Bytes,
    pub(crate) library_name: Bytes,
    pub(crate) library_version: Bytes,
    pub(crate) protocol: Protocol,
    /// What `SELECT` chose. It only shows in `CLIENT LIST`: channels belong to no database.
    pub(crate) database: i64,
    pub(crate) no_evict: bool,
    pub(crate) no_touch: bool,
    pub(crate) replies_off: bool,
    pub(crate) skip_next_reply: bool,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) outbox: Outbox,
    pub(crate) ending: Option<Ending>,
    /// Tells the client's task that there is something to send, or that it is to end.
    pub(crate) wake: Rc<Notify>,
    subscriptions: [HashSet<Rc<[u8]>>; Kind::COUNT],
    subscription_bytes: usize,
}

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Once everything that waits has been sent.
    Flush,
    /// At once.
    Drop,
}

impl Client {
    pub(crate) fn new(id: u64, peer: SocketAddr, local: SocketAddr, max_output: usize) -> Self {
        let now = Instant::now();
        Self {
            id,
            peer,
            local,
            connected: now,
            last_command: now,
            last_command_name: "NULL",
            name: Bytes::new(),
            library_name: Bytes::new(),
            library_version: Bytes::new(),
            protocol: Protocol::Resp2,
            database: 0,
            no_evict: false,
            no_touch: false,
            replies_off: false,
            skip_next_reply: false,
            transaction: None,
            outbox: Outbox::new(max_output),
            ending: None,
            wake: Rc::new(Notify::new()),
            subscriptions: Default::default(),
            subscription_bytes: 0,
        }
    }

    /// Adds something to send that the client has not asked for just now.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.outbox.push(chunk);
        self.end_if_overflowed();
        self.wake.notify_one();
    }

    /// Adds the reply to the command that has just run.
    pub(crate) fn release(&mut self, reply: Bytes) {
        self.outbox.release(reply);
        self.end_if_overflowed();
    }

    /// Ends a connection whose reply did not fit.
    pub(crate) fn cut_off(&mut self) {
        self.outbox.overflow();
        self.end_if_overflowed();
    }

    fn end_if_overflowed(&mut self) {
        if self.outbox.overflowed() && self.ending != Some(Ending::Drop) {
            tracing::warn!(id = self.id, peer = %self.peer, "slow client cut off");
            self.ending = Some(Ending::Drop);
        }
    }

    /// Ends the connection from outside its own commands.
    pub(crate) fn kill(&mut self) {
        self.ending = Some(Ending::Drop);
        self.wake.notify_one();
    }

    /// False if the name would take the client's subscriptions over `max_bytes`.
    pub(crate) fn add_subscription(
        &mut self,
        kind: Kind,
        name: Rc<[u8]>,
        max_bytes: usize,
    ) -> bool {
        let bytes = self.subscription_bytes + name.len() + SUBSCRIPTION_BYTES;
        if bytes > max_bytes {
            return false;
        }
        self.subscription_bytes = bytes;
        self.subscriptions[kind as usize].insert(name)
    }

    /// False if there was no such subscription.
    pub(crate) fn remove_subscription(&mut self, kind: Kind, name: &[u8]) -> bool {
        let removed = self.subscriptions[kind as usize].remove(name);
        if removed {
            self.subscription_bytes -= name.len() + SUBSCRIPTION_BYTES;
        }
        removed
    }

    pub(crate) fn is_subscribed(&self, kind: Kind, name: &[u8]) -> bool {
        self.subscriptions[kind as usize].contains(name)
    }

    pub(crate) fn subscriptions(&self, kind: Kind) -> &HashSet<Rc<[u8]>> {
        &self.subscriptions[kind as usize]
    }

    /// The count in the confirmations of `kind`: channels and patterns share one.
    pub(crate) fn subscription_count(&self, kind: Kind) -> usize {
        let count = |kind| self.subscriptions(kind).len();
        match kind {
            Kind::Channel | Kind::Pattern => count(Kind::Channel) + count(Kind::Pattern),
            Kind::Shard => count(Kind::Shard),
        }
    }

    /// Whether the client has subscribed to anything.
    pub(crate) fn is_subscriber(&self) -> bool {
        self.subscriptions.iter().any(|names| !names.is_empty())
    }
}

/// The three spaces of names that can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Kind {
    pub(crate) const COUNT: usize = 3;
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::Channel, Self::Pattern, Self::Shard];
}
