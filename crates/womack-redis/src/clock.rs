//! The clock that tasks read.

use std::time::Instant;

/// The time by the runtime's clock, which a simulation may move.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
