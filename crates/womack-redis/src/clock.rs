//! The clock that tasks read.

use std::time::{Duration, Instant};

/// The time by the runtime's clock, which a simulation may move.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since `time` by the same clock.
#[must_use]
pub fn since(time: Instant) -> Duration {
    now().saturating_duration_since(time)
}
