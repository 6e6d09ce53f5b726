//! What load balancers are told about this process.

use std::{
    borrow::Cow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether the process can serve; written by the router and by the main thread, read by anyone.
#[derive(Debug)]
pub(crate) struct Status {
    /// Why Redis is not as it should be. It is looked at by who asks, and changed when it changes.
    redis: Mutex<Option<Cow<'static, str>>>,
    draining: AtomicBool,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            redis: Mutex::new(Some(Cow::Borrowed("redis is not subscribed"))),
            draining: AtomicBool::new(false),
        }
    }
}

impl Status {
    /// Whether everything wanted is subscribed at Redis, or why not.
    pub(crate) fn set_redis(&self, subscribed: Result<(), String>) {
        let reason = subscribed.err().map(Cow::Owned);
        *self.redis.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// From now on no new session is taken.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether new clients are welcome, or why not.
    pub(crate) fn ready(&self) -> Result<(), Cow<'static, str>> {
        if self.is_draining() {
            return Err(Cow::Borrowed("draining"));
        }
        let reason = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone().map_or(Ok(()), Err)
    }
}
