//! The signals that the server listens to.

use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing::warn;

use crate::error::Error;

/// The signals that end the server, and the one that has it reload.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes them from here on.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that asks for the end.
    pub(crate) async fn end(&mut self) -> &'static str {
        select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for one that asks for the end; `None` if it is one that asks for a reload.
    pub(crate) async fn next(&mut self) -> Option<&'static str> {
        select! {
            _ = self.terminate.recv() => Some("SIGTERM"),
            _ = self.interrupt.recv() => Some("SIGINT"),
            _ = self.hangup.recv() => None,
        }
    }
}

/// Whoever sends a second signal does not want to wait.
pub(crate) fn stop_at_once(signal: &str) -> ! {
    warn!(signal, "stopping at once");
    std::process::exit(1);
}
