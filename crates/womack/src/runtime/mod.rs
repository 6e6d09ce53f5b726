//! A server that runs: its start, its threads, and how it ends.

mod barrier;
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
mod supervisor;
mod threads;
mod worker;

pub(crate) use self::{
    barrier::Barrier,
    drain::{Deadlines, DrainSteps, close_sessions, handle_commands, write_last_bytes},
    handles::ServerHandles,
    running::{Reload, Running},
    signals::Signals,
    source::local_backend,
    start::{ServerParts, room_for_clients},
};
