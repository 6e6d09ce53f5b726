//! All connections that came over a listener.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections that may wait at a listener until they are accepted; the system may allow fewer.
pub(crate) const BACKLOG: i32 = 4096;

/// The connections that came over a listener, and when they are to end.
#[derive(Clone, Default)]
pub(crate) struct Connections {
    /// Cancelled once no more are taken, and those that are open end after the request that they
    /// are at.
    pub(crate) closing: CancellationToken,
    /// Those that are open.
    pub(crate) open: TaskTracker,
}
