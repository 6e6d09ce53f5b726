//! What the back end is told of clients.

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use womack_ledger::metrics::{By, add};

/// What is counted of server events.
#[derive(Clone)]
pub struct EventMetrics {
    published: By<Counter>,
    /// Memberships whose end nobody reported: of nodes that died, or found by counting.
    pub(crate) ghosts: Counter,
}

impl EventMetrics {
    /// Registers the counters, at zero.
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            published: By::new(
                registry,
                "server_events",
                "Server events published by kind",
                "event",
                ["subscribe", "unsubscribe", "custom"],
            ),
            ghosts: add(
                registry,
                "ghosts",
                "Memberships whose end was found out by others, or by counting",
            ),
        }
    }

    /// Counts server events of one kind that were published.
    pub(crate) fn published(&self, event: &'static str, count: u64) {
        self.published.of(event).inc_by(count);
    }
}
