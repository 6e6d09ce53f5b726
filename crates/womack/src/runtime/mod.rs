//! How the server begins and ends: parts of the main thread and of the shards' threads.

mod barrier;
mod drain;

pub(crate) use self::{
    barrier::Barrier,
    drain::{Deadlines, DrainSteps, close_sessions, handle_commands, write_last_bytes},
};
