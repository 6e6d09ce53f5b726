//! Subscriptions at Redis as the router sees them, and the queues to the shards.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use womack_ledger::metrics::add;

/// The counters of the router.
pub struct RouterMetrics {
    /// 1 while the subscription link to Redis stands.
    pub connected: Gauge,
    /// Times that link, or a part of it, was lost. What was published meanwhile was not received.
    pub gaps: Counter,
    /// Channels that Redis refused to subscribe.
    pub refused: Counter,
    /// Seconds without the link, all gaps together.
    pub gap_seconds: Counter<f64, AtomicU64>,
    /// Notices to clients that they may have missed something.
    pub gap_notices: Counter,
    /// Redis channels that are subscribed, or asked for.
    pub channels: Gauge,
    /// Times the router had to wait because a shard's queue was full.
    pub shard_queue_waits: Counter,
}

impl RouterMetrics {
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
        }
    }
}
