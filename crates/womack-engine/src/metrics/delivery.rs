//! What goes out to clients.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};
use womack_ledger::metrics::{By, Distribution, add};

/// The shortest time that delivery tells apart, and how often it is doubled: up to 6.6 s.
const SHORTEST: Duration = Duration::from_micros(50);
const TIMES: usize = 18;

/// What is counted of deliveries, beside how many each shard made.
pub struct Deliveries {
    /// Events with attachments for clients that know none.
    pub undeliverable: Counter,
    /// Bytes written to WebSockets and into polling answers.
    pub sent_bytes: Counter,
    /// Writes to WebSockets; deliveries per write tell how well bursts merge.
    pub writes: Counter,
    /// Bytes that wait for clients which cannot take them at once.
    pub client_queue_bytes: Gauge,
    /// Memory in use, as far as it is counted.
    pub memory_bytes: Gauge,
    spared: By<Counter>,
    /// From the arrival of a round's first message at the router to the end of the round.
    pub seconds: Distribution,
}

impl Deliveries {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let seconds = Distribution::new(SHORTEST, TIMES);
        registry.register_with_unit(
            "delivery",
            "From the arrival of a round's first message to the end of the round that wrote it",
            Unit::Seconds,
            seconds.clone(),
        );
        Self {
            undeliverable: add(
                registry,
                "undeliverable",
                "Events with attachments for clients that know none",
            ),
            sent_bytes: add(registry, "sent_bytes", "Bytes written towards clients"),
            writes: add(registry, "socket_writes", "Writes to WebSockets"),
            client_queue_bytes: add(
                registry,
                "client_queue_bytes",
                "Bytes waiting for clients that cannot take them yet",
            ),
            memory_bytes: add(
                registry,
                "memory_bytes",
                "Memory in use as far as it is counted against the budget",
            ),
            spared: By::new(
                registry,
                "client_messages_dropped",
                "Messages that clients which read too slowly did not get",
                "reason",
                ["oldest", "replaced", "expired"],
            ),
            seconds,
        }
    }

    /// Counts messages that slow clients do not get.
    pub fn spared(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.spared.of(reason).inc_by(count);
        }
    }
}
