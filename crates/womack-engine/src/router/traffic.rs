//! The messages that come: how many for which namespace, and which channels bring most of them.

use super::{
    busiest::BusiestChannels, message_limits::MessageLimits, namespace_counts::NamespaceCounts,
    received_to::ReceivedTo, warnings::Warnings,
};
use crate::{metrics::Metrics, namespace::Registry};

/// What is counted of the messages that come, and how many may.
pub(super) struct Traffic {
    pub(super) busiest: BusiestChannels,
    pub(super) namespaces: NamespaceCounts,
    pub(super) limits: MessageLimits,
    pub(super) received_to: ReceivedTo,
    /// Messages of the present batch.
    pub(super) received: u64,
    /// Messages of the present period.
    pub(super) of_period: u64,
    pub(super) warnings: Warnings,
}

impl Traffic {
    pub(super) fn new(registry: &Registry, metrics: &Metrics) -> Self {
        let limits = registry
            .iter()
            .map(|(_, entry)| entry.max_messages_per_second);
        Self {
            busiest: BusiestChannels::default(),
            namespaces: NamespaceCounts::new(registry, metrics),
            limits: MessageLimits::new(limits),
            received_to: ReceivedTo::default(),
            received: 0,
            of_period: 0,
            warnings: Warnings::default(),
        }
    }
}
