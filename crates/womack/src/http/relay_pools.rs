//! What clients have of the requests and bytes for other nodes.

use std::sync::Arc;

use womack_ledger::SlotPool;

use crate::config::Config;

/// What clients have of the requests and bytes for other nodes.
pub(crate) struct RelayShares {
    pub(super) requests: Arc<SlotPool>,
    pub(super) bytes: Arc<SlotPool>,
}

impl RelayShares {
    pub(crate) fn new(config: &Config) -> Self {
        let largest = config.limits.load().max_payload_bytes;
        // Of which three quarters are more than one body, so that nobody is refused for ever.
        let bytes = config.nodes.max_relay_bytes.max(largest.saturating_mul(2));
        Self {
            requests: Arc::new(SlotPool::new(config.nodes.max_relayed_requests)),
            bytes: Arc::new(SlotPool::new(bytes)),
        }
    }
}
