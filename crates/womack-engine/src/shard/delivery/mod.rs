//! Delivery: a round of messages and its way to clients.

pub(super) mod closing_sockets;
pub(super) mod egress;
#[cfg(test)]
mod limited_writer;
pub(super) mod pending;
pub(super) mod round;
pub(super) mod slices;
