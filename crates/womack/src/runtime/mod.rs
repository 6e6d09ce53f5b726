//! A server that runs: its start, its threads, and how it ends. No file imports from this one.

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
    running::{Reload, Running},
    signals::Signals,
    source::local_backend,
    start::{ServerParts, room_for_clients},
};
