//! State that all threads of a server share.

use std::sync::Arc;

use womack_cluster::{RelayContext, RelayContextParts};
use womack_engine::Context;

use crate::{
    config::Config,
    http::{Descriptors, RefusedOrigins, RelayShares},
    metrics::Metrics,
};

/// State that all threads of a server share and none changes.
pub(crate) struct ServerContext {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// State that router and shards share.
    pub(crate) engine: Arc<Context>,
    /// Origins whose pages were refused.
    pub(crate) refused_origins: RefusedOrigins,
    /// The descriptors that connections may have.
    pub(crate) descriptors: Descriptors,
    /// What clients have of the requests for other nodes.
    pub(crate) relay_shares: RelayShares,
}

impl ServerContext {
    /// State that the parts of the relay share.
    pub(crate) fn relay_context(&self) -> Arc<RelayContext> {
        Arc::new(RelayContext::new(RelayContextParts {
            node: self.engine.sids.node,
            config: self.config.relay(),
            metrics: self.metrics.relay.clone(),
            limits: self.metrics.limits.clone(),
            sockets: self.descriptors.of_clients().clone(),
            ledger: self.engine.memory.others().clone(),
        }))
    }
}
