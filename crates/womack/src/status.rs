//! What load balancers are told about this process.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the process can serve; written by the router and by the main thread, read by anyone.
#[derive(Debug, Default)]
pub(crate) struct Status {
    redis: AtomicBool,
    draining: AtomicBool,
}

impl Status {
    /// Whether everything wanted is subscribed at Redis.
    pub(crate) fn set_redis(&self, subscribed: bool) {
        self.redis.store(subscribed, Ordering::Release);
    }

    /// From now on no new session is taken.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether new clients are welcome, or why not.
    pub(crate) fn ready(&self) -> Result<(), &'static str> {
        if self.is_draining() {
            Err("draining")
        } else if self.redis.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err("redis is not subscribed")
        }
    }
}
