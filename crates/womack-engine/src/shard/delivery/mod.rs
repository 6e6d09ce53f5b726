//! Delivery: a round of messages and its way to clients.

pub(super) mod backpressure;
pub(super) mod deliver;
pub(super) mod egress;
pub(super) mod fan_out;
pub(super) mod flush;
pub(super) mod orders;
pub(super) mod pending;
pub(super) mod round;
pub(super) mod slices;
