//! What load balancers are told about this process.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use womack_cluster::RelayContext;
use womack_engine::{Context, Coverage};

/// Whether the process can serve; read by anyone.
pub(crate) struct Status {
    /// Knows whether Redis brings what clients want.
    engine: Arc<Context>,
    /// The relay, if there is one: balancers wait until other nodes can reach this one.
    relay: Option<Arc<RelayContext>>,
    leaving: AtomicBool,
    draining: AtomicBool,
}

impl Status {
    /// The status of a process that has just begun. A relay is waited for too.
    pub(crate) const fn new(engine: Arc<Context>, relay: Option<Arc<RelayContext>>) -> Self {
        Self {
            engine,
            relay,
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    /// From now on balancers are to send clients elsewhere.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// From now on no new session is taken.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        if let Some(relay) = &self.relay {
            relay.drain();
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether new clients are welcome, or why not.
    pub(crate) fn ready(&self) -> Result<(), Cow<'static, str>> {
        if self.is_draining() || self.leaving.load(Ordering::Acquire) {
            return Err(Cow::Borrowed("draining"));
        }
        match self.engine.coverage() {
            Coverage::Incomplete(reason) => Err(Cow::Owned(reason)),
            Coverage::Complete if self.is_reachable() => Ok(()),
            Coverage::Complete => Err(Cow::Borrowed("other nodes cannot reach this one")),
        }
    }

    /// Whether other nodes can bring what their clients want of sessions of this one, if they are
    /// to.
    fn is_reachable(&self) -> bool {
        let relay = self.relay.as_ref();
        relay.is_none_or(|relay| relay.is_reachable())
    }
}
