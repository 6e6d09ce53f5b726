//! The relay's thread: begins with the server, and ends after the shards.

use std::{io, thread, time::Instant};

use tokio::{sync::oneshot, task::LocalSet, time::timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Relay;
use crate::worker;

/// A relay that runs.
pub(crate) struct Relaying {
    finish: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Relaying {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses a runtime or a thread.
    pub(crate) fn start(relay: Relay) -> io::Result<Self> {
        let finish = relay.finish.clone();
        let runtime = worker::runtime()?;
        let (sender, ended) = oneshot::channel();
        thread::Builder::new()
            .name("womack-relay".to_owned())
            .spawn(move || {
                LocalSet::new().block_on(&runtime, relay.run());
                // Nobody waits for it when the process is about to end anyway.
                sender.send(()).ok();
            })?;
        Ok(Self { finish, ended })
    }

    /// The shards have closed their sessions: waits until what they said last is on its way to
    /// other nodes, but not beyond `deadline`.
    pub(crate) async fn finish(self, deadline: Instant) {
        self.finish.cancel();
        if timeout_at(deadline.into(), self.ended).await.is_err() {
            warn!("redis does not take the last answers to clients of other nodes");
        }
    }
}
