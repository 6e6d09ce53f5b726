//! Metrics of the relay and of the reporter.

mod events;
mod relay;

pub use self::{events::EventMetrics, relay::RelayMetrics};
