//! The messages of each namespace, counted for a batch and handed to the metrics at its end.

use womack_proto::NamespaceId;

use crate::{
    metrics::{Metrics, NamespaceCounters},
    namespace::Registry,
};

/// The messages of each namespace.
pub(super) struct NamespaceCounts(Vec<NamespaceCount>);

#[derive(Default)]
struct NamespaceCount {
    messages: u64,
    bytes: u64,
    dropped: u64,
    /// Messages of the period, as the busiest channels are found for one.
    of_period: u64,
    counters: NamespaceCounters,
}

impl NamespaceCounts {
    pub(super) fn new(registry: &Registry, metrics: &Metrics) -> Self {
        let counts = registry.iter().map(|(_, entry)| NamespaceCount {
            counters: metrics.namespaces.of(&entry.path),
            ..NamespaceCount::default()
        });
        Self(counts.collect())
    }

    /// Counts a message of so many bytes.
    pub(super) fn add(&mut self, namespace: NamespaceId, bytes: usize) {
        let count = &mut self.0[usize::from(namespace.0)];
        count.messages += 1;
        count.bytes += bytes as u64;
    }

    /// Counts a message that is dropped.
    pub(super) fn add_dropped(&mut self, namespace: NamespaceId) {
        self.0[usize::from(namespace.0)].dropped += 1;
    }

    /// Hands what was counted to the metrics. Returns how many messages were dropped.
    pub(super) fn flush(&mut self) -> u64 {
        let mut all_dropped = 0;
        for count in &mut self.0 {
            if count.messages == 0 {
                continue;
            }
            let messages = std::mem::take(&mut count.messages);
            count.of_period += messages;
            count.counters.messages.inc_by(messages);
            count
                .counters
                .bytes
                .inc_by(std::mem::take(&mut count.bytes));
            let dropped = std::mem::take(&mut count.dropped);
            if dropped > 0 {
                count.counters.dropped.inc_by(dropped);
                all_dropped += dropped;
            }
        }
        all_dropped
    }

    /// The messages of each namespace since the last call.
    pub(super) fn end_period(&mut self) -> impl Iterator<Item = (NamespaceId, u64)> {
        let counts = (0..).map(NamespaceId).zip(&mut self.0);
        counts.map(|(namespace, count)| (namespace, std::mem::take(&mut count.of_period)))
    }
}
