//! Metrics of the engine.
//!
//! Counters are shared by all threads, but the delivery path adds to them once per message or per
//! round, not once per client, so that they cost nothing there.

mod clients;
mod delivery;
mod messages;
mod namespaces;
mod router;
mod shards;

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use womack_ledger::{Limit, LimitCounters, metrics::add};

use self::messages::TOO_LARGE;
pub use self::{
    clients::{Clients, Transport},
    delivery::Deliveries,
    messages::Messages,
    namespaces::{NamespaceCounters, NamespaceMetrics},
    router::RouterMetrics,
    shards::{ShardMetrics, Shards},
};

/// Every counter of the engine.
pub struct Metrics {
    /// Sessions that come and go, and what clients ask for.
    pub clients: Clients,
    /// Messages that publishers send.
    pub messages: Messages,
    /// Messages of each namespace.
    pub namespaces: NamespaceMetrics,
    /// Messages that go out to clients.
    pub deliveries: Deliveries,
    /// The subscriptions at Redis, and the queues to the shards.
    pub redis: RouterMetrics,
    /// How much each shard has to do.
    pub shards: Shards,
    /// Server events that gave way to later ones while Redis was not there.
    pub events_dropped: Counter,
    limits: LimitCounters,
}

impl Metrics {
    /// Registers all counters, at zero, for an engine with so many shards.
    pub fn new(registry: &mut Registry, limits: LimitCounters, shards: usize) -> Self {
        Self {
            clients: Clients::new(registry),
            messages: Messages::new(registry),
            namespaces: NamespaceMetrics::new(registry),
            deliveries: Deliveries::new(registry),
            redis: RouterMetrics::new(registry),
            shards: Shards::new(registry, shards),
            events_dropped: add(
                registry,
                "server_events_dropped",
                "Server events that gave way to later ones",
            ),
            limits,
        }
    }

    /// Counts that `limit` was reached.
    pub fn limit(&self, limit: Limit) {
        self.limits.reached(limit);
    }

    /// Counts published messages that are dropped, as their namespace has too many.
    pub fn rate_limited(&self, count: u64) {
        if count > 0 {
            self.limits
                .counter(Limit::MaxMessagesPerSecond)
                .inc_by(count);
            self.messages.rate_limited(count);
        }
    }

    /// Counts a published message that is dropped.
    pub fn rejected(&self, reason: &'static str) {
        if reason == TOO_LARGE {
            self.limit(Limit::MaxMessageBytes);
        }
        self.messages.rejected(reason);
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Metrics {
    /// Counters of a registry that nobody reads.
    pub fn unread(shards: usize) -> Self {
        let mut registry = Registry::default();
        let limits = LimitCounters::new(&mut registry);
        Self::new(&mut registry, limits, shards)
    }
}
