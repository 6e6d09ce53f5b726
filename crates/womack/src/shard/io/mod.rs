//! Input and output: the only part of a shard that touches descriptors.

pub(super) mod closing_sockets;
pub(super) mod nested_poll;
pub(super) mod readiness;
#[cfg_attr(
    not(all(feature = "io-uring", target_os = "linux")),
    path = "no_ring.rs"
)]
pub(super) mod ring;
pub(super) mod vectored;
pub(super) mod wire;

use std::time::{Duration, Instant};

/// How long ago a message reached the router. It is measured only: nothing that a shard decides
/// depends on a clock.
pub(super) fn elapsed_since(received: Instant) -> Duration {
    received.elapsed()
}
