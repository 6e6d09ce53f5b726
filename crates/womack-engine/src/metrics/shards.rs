//! How much each shard has to do, and how well it keeps up.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use womack_ledger::ShardId;
use womack_ledger::metrics::{Distribution, add};

/// The shortest lag that is told apart, about what the timers can, and how often it is doubled:
/// up to 4 s.
const SHORTEST_LAG: Duration = Duration::from_millis(1);
const LAGS: usize = 13;

type Label = [(&'static str, String); 1];

/// The metrics of all shards.
pub struct Shards {
    shards: Vec<ShardMetrics>,
}

/// What is counted of one shard. Its own thread writes it, but for the depth of its queue.
#[derive(Clone)]
pub struct ShardMetrics {
    /// Open sessions.
    pub connections: Gauge,
    /// Messages times the clients that they were queued for.
    pub deliveries: Counter,
    /// Commands of other threads that were done, and the batches in which they were taken.
    pub commands: Counter,
    /// Batches in which commands were taken.
    pub batches: Counter,
    /// Commands that wait.
    pub queue_depth: Gauge,
    /// How late the shard's timers are.
    pub lag: Distribution,
    /// Time on a CPU, all together.
    pub cpu_seconds: Counter<f64, AtomicU64>,
}

impl Shards {
    pub(super) fn new(registry: &mut Registry, count: usize) -> Self {
        let connections: Family<Label, Gauge> =
            add(registry, "shard_connections", "Open sessions by shard");
        let deliveries: Family<Label, Counter> = add(
            registry,
            "deliveries",
            "Messages queued for clients by shard",
        );
        let commands: Family<Label, Counter> = add(
            registry,
            "shard_commands",
            "Commands of other threads that a shard has done",
        );
        let batches: Family<Label, Counter> = add(
            registry,
            "shard_batches",
            "Batches in which a shard took the commands that waited",
        );
        let queue_depth: Family<Label, Gauge> = add(
            registry,
            "shard_queue_depth",
            "Commands waiting for a shard",
        );
        let cpu_seconds: Family<Label, Counter<f64, AtomicU64>> = add(
            registry,
            "shard_cpu_seconds",
            "Time for which a shard's thread ran",
        );
        let lag = Family::<Label, Distribution, fn() -> Distribution>::new_with_constructor(|| {
            Distribution::new(SHORTEST_LAG, LAGS)
        });
        registry.register(
            "shard_lag_seconds",
            "How late a shard comes to a timer",
            lag.clone(),
        );
        let shards = (0..count).map(|shard| {
            let label = [("shard", shard.to_string())];
            ShardMetrics {
                connections: connections.get_or_create_owned(&label),
                deliveries: deliveries.get_or_create_owned(&label),
                commands: commands.get_or_create_owned(&label),
                batches: batches.get_or_create_owned(&label),
                queue_depth: queue_depth.get_or_create_owned(&label),
                cpu_seconds: cpu_seconds.get_or_create_owned(&label),
                lag: lag.get_or_create_owned(&label),
            }
        });
        Self {
            shards: shards.collect(),
        }
    }

    /// The metrics of one shard.
    pub fn of(&self, shard: ShardId) -> &ShardMetrics {
        &self.shards[usize::from(shard.0)]
    }

    /// Those of each shard, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &ShardMetrics> {
        self.shards.iter()
    }
}
