//! State that the parts of the relay share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use womack_ledger::{Ledger, LimitCounters, SlotPool};
use womack_proto::relay::SharedSecret;

use crate::metrics::RelayMetrics;

/// The settings of the relay.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Prefix of the Redis channels on which nodes speak to one another.
    pub key: String,
    /// The secret that all nodes share; without it, whoever may publish at Redis can speak for them.
    pub secret: Option<SharedSecret>,
    /// How long another node may take to answer, or to show that it is there.
    pub timeout: Duration,
    /// How long a poll waits at its session at most.
    pub poll_timeout: Duration,
    /// Requests and WebSockets that may be under way to other nodes, and as many from them.
    pub max_requests: usize,
    /// Bytes that may wait to be published for other nodes.
    pub max_bytes: usize,
    /// Over how long clients are closed when the server stops.
    pub drain: Duration,
}

/// State that the parts of the relay share, and what others see of it.
pub struct RelayContext {
    /// The number of this node, which its session ids name.
    pub node: u32,
    /// The settings.
    pub config: RelayConfig,
    /// The counters.
    pub metrics: RelayMetrics,
    /// How often limits are reached.
    pub limits: LimitCounters,
    /// The sockets of clients, of which a tunnel takes two.
    pub sockets: Arc<SlotPool>,
    /// The account of what waits here.
    pub ledger: Ledger,
    /// Whether other nodes can reach this one, or are not meant to.
    is_reachable: AtomicBool,
    /// Whether this node gives back what it carries for others.
    is_draining: AtomicBool,
}

/// Everything that a [`RelayContext`] is made of.
pub struct RelayContextParts {
    /// The number of this node, which its session ids name.
    pub node: u32,
    /// The settings.
    pub config: RelayConfig,
    /// The counters.
    pub metrics: RelayMetrics,
    /// How often limits are reached.
    pub limits: LimitCounters,
    /// The sockets of clients.
    pub sockets: Arc<SlotPool>,
    /// The account of what waits in the relay.
    pub ledger: Ledger,
}

impl RelayContext {
    /// The context of a relay that has not started.
    pub fn new(parts: RelayContextParts) -> Self {
        let RelayContextParts {
            node,
            config,
            metrics,
            limits,
            sockets,
            ledger,
        } = parts;
        Self {
            node,
            config,
            metrics,
            limits,
            sockets,
            ledger,
            is_reachable: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
        }
    }

    /// Whether other nodes can bring requests for sessions of this one.
    pub fn is_reachable(&self) -> bool {
        self.is_reachable.load(Ordering::Acquire)
    }

    /// From now on the relay gives back what it carries for others.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    pub(super) fn set_reachable(&self, is_reachable: bool) {
        self.is_reachable.store(is_reachable, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }
}
