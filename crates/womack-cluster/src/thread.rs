//! A thread that begins with the server, and ends after the shards.

use std::{io, time::Instant};

use tokio::{sync::oneshot, task::LocalSet, time::timeout_at};
use tokio_util::sync::CancellationToken;
use womack_engine::start_thread;

/// A thread that runs until it is told to finish.
pub(crate) struct Thread {
    finish: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Thread {
    /// Starts a thread of this name that runs `task`, which ends some time after `finish`.
    ///
    /// # Errors
    /// The system refuses a runtime or a thread.
    pub(crate) fn start<F: Future<Output = ()>>(
        name: &str,
        finish: CancellationToken,
        task: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let ended = start_thread(name, move |runtime| {
            LocalSet::new().block_on(runtime, task())
        })?;
        Ok(Self { finish, ended })
    }

    /// Tells the thread to finish and waits until `deadline` at most. Returns whether it has
    /// finished.
    pub(crate) async fn finish(self, deadline: Instant) -> bool {
        self.finish.cancel();
        timeout_at(deadline.into(), self.ended).await.is_ok()
    }
}
