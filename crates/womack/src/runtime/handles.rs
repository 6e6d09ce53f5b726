//! Everything by which a thread reaches the others.

use std::sync::Arc;

use womack_engine::{DirtyChannels, Sender, SessionRequest, ToShard};

use super::drain::DrainSteps;
use crate::{context::ServerContext, status::Status};

/// Everything by which a thread reaches the others. Clones reach the same.
#[derive(Clone)]
pub(crate) struct ServerHandles {
    pub(crate) server: Arc<ServerContext>,
    pub(crate) status: Arc<Status>,
    /// Channels that the router is to reconcile.
    pub(crate) dirty: Arc<DirtyChannels>,
    /// The queues of all shards.
    pub(crate) shards: Vec<Sender<ToShard>>,
    /// Carries requests to the nodes of their sessions, if that is done.
    pub(crate) relay: Option<Sender<SessionRequest>>,
    pub(crate) steps: Arc<DrainSteps>,
}
