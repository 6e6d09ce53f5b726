//! The link to Redis, and the queues around it.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use womack_ledger::metrics::{By, add};

/// What is counted of the link to Redis.
pub(crate) struct Redis {
    /// 1 while the subscription link to Redis stands.
    pub(crate) connected: Gauge,
    /// Times that link, or a part of it, was lost. What was published meanwhile was not received.
    pub(crate) gaps: Counter,
    /// Channels that Redis refused to subscribe.
    pub(crate) refused: Counter,
    /// Seconds without the link, all gaps together.
    pub(crate) gap_seconds: Counter<f64, AtomicU64>,
    /// Bytes of messages that the router has still to take.
    pub(crate) backlog_bytes: Gauge,
    /// Notices to clients that they may have missed something.
    pub(crate) gap_notices: Counter,
    /// Redis channels that are subscribed, or asked for.
    pub(crate) channels: Gauge,
    /// Times the router had to wait because a shard's queue was full.
    pub(crate) shard_queue_waits: Counter,
    queue_depth: By<Gauge>,
}

impl Redis {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            connected: add(
                registry,
                "redis_connected",
                "Whether the subscription link stands",
            ),
            gaps: add(
                registry,
                "redis_gaps",
                "Losses of the subscription link, or of a part",
            ),
            refused: add(
                registry,
                "redis_refusals",
                "Channels that Redis refused to subscribe",
            ),
            gap_seconds: add(
                registry,
                "redis_gap_seconds",
                "Time without the subscription link",
            ),
            backlog_bytes: add(
                registry,
                "redis_backlog_bytes",
                "Bytes of messages that the router has still to take",
            ),
            gap_notices: add(
                registry,
                "gap_notices",
                "Notices to clients that they may have missed something",
            ),
            channels: add(registry, "redis_channels", "Redis channels subscribed"),
            shard_queue_waits: add(
                registry,
                "shard_queue_waits",
                "Times the router waited for room in a shard's queue",
            ),
            queue_depth: By::new(
                registry,
                "queue_depth",
                "Values waiting for the router, and for the reporter",
                "queue",
                ["router"],
            ),
        }
    }

    /// Notes how many values wait in a queue, `router` or `reports`.
    pub(crate) fn queue_depth(&self, queue: &'static str, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        self.queue_depth.of(queue).set(depth);
    }
}
