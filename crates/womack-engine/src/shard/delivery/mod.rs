//! Delivery: a round of messages and its way to clients.

pub(super) mod closing_sockets;
pub(super) mod egress;
pub(super) mod pending;
pub(super) mod round;
pub(super) mod slices;
