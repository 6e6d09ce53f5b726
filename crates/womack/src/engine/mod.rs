//! The fan-out engine: parts of router and shards that need neither HTTP nor Redis.
//!
//! This folder becomes a crate of its own; time is an argument here, and nothing reads a clock.

mod timeout_queue;

pub(crate) use self::timeout_queue::{Ticket, TimeoutQueue};
