//! The reporter's thread: begins with the server, and ends after the shards.

use std::time::Instant;

use tracing::warn;

use crate::thread::Thread;

/// A reporter that runs.
pub struct ReporterTask(pub(super) Thread);

impl ReporterTask {
    /// The shards have said all: waits until it is published, but not beyond `deadline`. If Redis
    /// does not take it, the other nodes will publish what this one owes.
    pub async fn finish(self, deadline: Instant) {
        if !self.0.finish(deadline).await {
            warn!("redis does not take the last server events");
        }
    }
}
