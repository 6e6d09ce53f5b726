//! The relay's thread: begins with the server, and ends after the shards.

use std::{io, time::Instant};

use tracing::warn;

use super::Relay;
use crate::thread::Thread;

/// A relay that runs.
pub struct RelayTask(Thread);

impl RelayTask {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses a runtime or a thread.
    pub fn start(relay: Relay) -> io::Result<Self> {
        let finish = relay.finish.clone();
        Thread::start("womack-relay", finish, || relay.run()).map(Self)
    }

    /// The shards have closed their sessions: waits until what they said last is on its way to
    /// other nodes, but not beyond `deadline`.
    pub async fn finish(self, deadline: Instant) {
        if !self.0.finish(deadline).await {
            warn!("redis does not take the last answers to clients of other nodes");
        }
    }
}
