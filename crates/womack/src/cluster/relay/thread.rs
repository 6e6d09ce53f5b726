//! The relay's thread: begins with the server, and ends after the shards.

use std::{io, thread, time::Duration};

use tokio::{sync::oneshot, task::LocalSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Relay;
use crate::worker;

/// How long the last answers may take, beyond the time in which clients are closed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A relay that runs.
pub(crate) struct Relaying {
    /// How long the end may take.
    patience: Duration,
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
        let patience = relay.common.config.drain + LAST_WORDS;
        let runtime = worker::runtime()?;
        let (sender, ended) = oneshot::channel();
        thread::Builder::new()
            .name("womack-relay".to_owned())
            .spawn(move || {
                LocalSet::new().block_on(&runtime, relay.run());
                // Nobody waits for it when the process is about to end anyway.
                sender.send(()).ok();
            })?;
        Ok(Self {
            patience,
            finish,
            ended,
        })
    }

    /// The shards have ended: waits until what they said last is on its way to other nodes.
    pub(crate) async fn finish(self) {
        self.finish.cancel();
        if timeout(self.patience, self.ended).await.is_err() {
            warn!("redis does not take the last answers to clients of other nodes");
        }
    }
}
