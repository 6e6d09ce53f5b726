//! Metrics of a subscriber.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// Metrics of a subscriber. Clones count the same.
#[derive(Clone, Debug, Default)]
pub struct SubscriberMetrics {
    /// Bytes of messages that are still to be taken.
    pub backlog_bytes: Gauge,
    /// Times that the limit of these bytes was reached.
    pub backlog_filled: Counter,
}
