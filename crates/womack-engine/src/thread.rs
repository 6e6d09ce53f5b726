//! Threads with a runtime of their own.

use std::{io, thread};

use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

/// How often a runtime looks at its sockets and timers, in task polls.
const EVENT_INTERVAL: u32 = 16;

/// A runtime for one thread.
///
/// # Errors
/// The system refuses it.
pub fn thread_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
}

/// Starts a thread of this name that does `work` with a runtime of its own. Returns where the
/// result comes, which is before the runtime ends, as that may wait for a name to be resolved.
///
/// # Errors
/// The system refuses a runtime or a thread.
pub fn start_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&Runtime) -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let runtime = thread_runtime()?;
    let (sender, ended) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody waits for it when the process is about to end anyway.
            sender.send(work(&runtime)).ok();
        })?;
    Ok(ended)
}
