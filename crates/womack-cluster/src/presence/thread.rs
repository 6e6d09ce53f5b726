//! The reporter's thread: begins with the server, and ends after the shards.

use std::{io, time::Instant};

use tracing::warn;

use super::Reporter;
use crate::thread::Thread;

/// A reporter that runs.
pub struct ReporterTask(Thread);

impl ReporterTask {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses a runtime or a thread.
    pub fn start(reporter: Reporter) -> io::Result<Self> {
        let finish = reporter.finish.clone();
        Thread::start("womack-reporter", finish, || reporter.run()).map(Self)
    }

    /// The shards have said all: waits until it is published, but not beyond `deadline`. If Redis
    /// does not take it, the other nodes will publish what this one owes.
    pub async fn finish(self, deadline: Instant) {
        if !self.0.finish(deadline).await {
            warn!("redis does not take the last server events");
        }
    }
}
