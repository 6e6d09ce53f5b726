//! What all threads of a server have in common.

use std::sync::Arc;

use womack_cluster::RelayContext;
use womack_engine::Context;

use crate::{config::Config, metrics::Metrics};

/// What all threads of a server have in common and none changes.
pub(crate) struct ServerContext {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// What router and shards have in common.
    pub(crate) engine: Arc<Context>,
}

impl ServerContext {
    /// What the parts of the relay have in common.
    pub(crate) fn relay_context(&self) -> Arc<RelayContext> {
        let metrics = self.metrics.relay.clone();
        let limits = self.metrics.limits.clone();
        let context =
            RelayContext::new(self.engine.sids.node, self.config.relay(), metrics, limits);
        Arc::new(context)
    }
}
