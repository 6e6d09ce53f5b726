//! A server that runs: its start, its threads, and how it ends.

mod barrier;
mod context;
mod drain;
mod handles;
mod listen;
mod pulse;
mod router_task;
mod running;
mod shard_tasks;
mod signals;
mod source;
mod start;
mod status;
mod supervisor;
mod threads;
mod worker;

use std::io;

use tokio::runtime::{self, Runtime};

pub(crate) use self::{
    barrier::Barrier,
    context::ServerContext,
    drain::{Deadlines, DrainSteps, close_sessions, handle_commands, write_last_bytes},
    handles::ServerHandles,
    listen::BACKLOG,
    running::Running,
    signals::Signals,
    source::local_backend,
    start::room_for_clients,
    status::Status,
};

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
