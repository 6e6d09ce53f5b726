//! State that all threads of a server share.

use std::sync::Arc;

use womack_cluster::RelayContext;
use womack_engine::Context;

use crate::{config::Config, http::RefusedOrigins, metrics::Metrics};

/// State that all threads of a server share and none changes.
pub(crate) struct ServerContext {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// State that router and shards share.
    pub(crate) engine: Arc<Context>,
    /// Origins whose pages were refused.
    pub(crate) refused_origins: RefusedOrigins,
}

impl ServerContext {
    /// State that the parts of the relay share.
    pub(crate) fn relay_context(&self) -> Arc<RelayContext> {
        let metrics = self.metrics.relay.clone();
        let limits = self.metrics.limits.clone();
        let context =
            RelayContext::new(self.engine.sids.node, self.config.relay(), metrics, limits);
        Arc::new(context)
    }
}
