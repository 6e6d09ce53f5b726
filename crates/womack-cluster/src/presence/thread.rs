//! The reporter's thread: begins with the server, and ends after the shards.

use std::{io, thread, time::Instant};

use tokio::{sync::oneshot, time::timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Reporter;
use crate::worker;

/// A reporter that runs.
pub(crate) struct Reporting {
    finish: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Reporting {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses a runtime or a thread.
    pub(crate) fn start(reporter: Reporter) -> io::Result<Self> {
        let finish = reporter.finish.clone();
        let runtime = worker::runtime()?;
        let (sender, ended) = oneshot::channel();
        thread::Builder::new()
            .name("womack-reporter".to_owned())
            .spawn(move || {
                runtime.block_on(reporter.run());
                // Nobody waits for it when the process is about to end anyway.
                sender.send(()).ok();
            })?;
        Ok(Self { finish, ended })
    }

    /// The shards have said all: waits until it is published, but not beyond `deadline`. If Redis
    /// does not take it, the other nodes will publish what this one owes.
    pub(crate) async fn finish(self, deadline: Instant) {
        self.finish.cancel();
        if timeout_at(deadline.into(), self.ended).await.is_err() {
            warn!("redis does not take the last server events");
        }
    }
}
