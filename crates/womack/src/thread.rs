//! The runtime of a thread.

use std::io;

use tokio::runtime::{self, Runtime};

/// How often a runtime looks at its sockets and timers, in task polls.
const EVENT_INTERVAL: u32 = 16;

/// A runtime for one thread.
///
/// # Errors
/// The system's.
pub(crate) fn thread_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
}
