//! Kinds of clients, and what is spoken with each.

pub(super) mod event_queue;
pub(super) mod event_stream;
pub(super) mod kind;
pub(super) mod polling;
pub(super) mod repetitions;
pub(super) mod sse;
pub(super) mod upgrade;
