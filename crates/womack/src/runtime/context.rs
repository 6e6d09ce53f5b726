//! What all threads of a server have in common.

use std::sync::Arc;

use womack_engine::Context;

use crate::{config::Config, metrics::Metrics};

/// What all threads of a server have in common and none changes.
pub(crate) struct ServerContext {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// What router and shards have in common.
    pub(crate) engine: Arc<Context>,
}
