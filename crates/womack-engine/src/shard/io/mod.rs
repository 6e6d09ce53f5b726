//! Input and output: the only part of a shard that touches descriptors.

use std::time::{Duration, Instant};

pub(super) mod ingress;
#[cfg(any(test, feature = "simulation"))]
pub(super) mod memory;
mod nested_poll;
pub(super) mod readiness;
#[cfg_attr(
    not(all(feature = "io-uring", target_os = "linux")),
    path = "no_ring.rs"
)]
pub(super) mod ring;
pub(super) mod socket_event;
pub(super) mod socket_id;
pub(super) mod sockets;
pub(super) mod vectored;
pub(super) mod websocket;
pub(super) mod wire;

/// How long ago a message reached the router. It is measured only: nothing that a shard decides
/// depends on a clock.
pub(super) fn elapsed_since(received: Instant) -> Duration {
    received.elapsed()
}
