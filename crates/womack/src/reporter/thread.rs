//! The reporter's thread: begins with the server, and ends after the shards.

use std::{io, thread, time::Duration};

use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Reporter;
use crate::worker;

/// How long the last server events may take.
const LAST_EVENTS: Duration = Duration::from_secs(5);

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

    /// The shards have said all: waits until it is published. If Redis does not take it, the
    /// other nodes will publish what this one owes.
    pub(crate) async fn finish(self) {
        self.finish.cancel();
        if timeout(LAST_EVENTS, self.ended).await.is_err() {
            warn!("redis does not take the last server events");
        }
    }
}
