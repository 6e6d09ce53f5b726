//! A thread that begins with the server, and ends after the shards.

use std::{io, thread, time::Instant};

use tokio::{runtime::Builder, sync::oneshot, task::LocalSet, time::timeout_at};
use tokio_util::sync::CancellationToken;

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
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sender, ended) = oneshot::channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                LocalSet::new().block_on(&runtime, task());
                // Nobody waits for it when the process is about to end anyway.
                sender.send(()).ok();
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
