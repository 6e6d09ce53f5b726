//! The relay's thread: begins with the server, and ends after the shards.

use std::time::Instant;

use tracing::warn;

use crate::thread::Thread;

/// A relay that runs.
pub struct RelayTask(pub(super) Thread);

impl RelayTask {
    /// The shards have closed their sessions: waits until what they said last is on its way to
    /// other nodes, but not beyond `deadline`.
    pub async fn finish(self, deadline: Instant) {
        if !self.0.finish(deadline).await {
            warn!("redis does not take the last answers to clients of other nodes");
        }
    }
}
