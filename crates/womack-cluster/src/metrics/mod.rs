//! What relay and reporter count.

mod events;
mod relay;

pub use self::{events::EventMetrics, relay::RelayMetrics};
