//! The nodes of a fleet among themselves, over Redis.
//!
//! | module | contents |
//! |---|---|
//! | `relay` | carries requests of clients to the node of their session |
//! | `presence` | publishes server events, and keeps the records that presence is answered from |
//! | `thread` | a thread that begins with the server and ends after the shards |
//! | `metrics` | counters of both |
//!
//! Each has a thread and connections of its own, so that messages wait for neither. This crate
//! delivers no message, and knows neither HTTP nor the settings of an operator.

mod metrics;
mod presence;
mod relay;
mod thread;

pub use self::{
    metrics::{EventMetrics, RelayMetrics},
    presence::{Reporter, ReporterConfig, ReporterTask},
    relay::{Relay, RelayConfig, RelayContext, RelayContextParts, RelayTask},
};
