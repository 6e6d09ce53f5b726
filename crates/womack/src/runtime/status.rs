//! What load balancers are told about this process.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use womack_cluster::RelayContext;
use womack_engine::Coverage;

/// Whether the process can serve; written by the router and by the main thread, read by anyone.
pub(crate) struct Status {
    /// Why Redis is not as it should be. It is looked at by who asks, and changed when it changes.
    redis: Mutex<Option<Cow<'static, str>>>,
    /// The relay, if there is one: balancers wait until other nodes can reach this one.
    relay: Option<Arc<RelayContext>>,
    leaving: AtomicBool,
    draining: AtomicBool,
}

impl Status {
    /// The status of a process that has just begun. A relay is waited for too.
    pub(crate) const fn new(relay: Option<Arc<RelayContext>>) -> Self {
        Self {
            redis: Mutex::new(Some(Cow::Borrowed("redis is not subscribed"))),
            relay,
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    /// From now on balancers are to send clients elsewhere.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether everything wanted is subscribed at Redis.
    pub(crate) fn set_redis(&self, coverage: Coverage) {
        let reason = match coverage {
            Coverage::Complete => None,
            Coverage::Incomplete(reason) => Some(Cow::Owned(reason)),
        };
        *self.redis.lock().unwrap_or_else(PoisonError::into_inner) = reason;
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
        let reason = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
        match &*reason {
            Some(reason) => Err(reason.clone()),
            None if self.is_reachable() => Ok(()),
            None => Err(Cow::Borrowed("other nodes cannot reach this one")),
        }
    }

    /// Whether other nodes can bring what their clients want of sessions of this one, if they are
    /// to.
    fn is_reachable(&self) -> bool {
        let relay = self.relay.as_ref();
        relay.is_none_or(|relay| relay.is_reachable())
    }
}
