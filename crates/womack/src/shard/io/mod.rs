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
