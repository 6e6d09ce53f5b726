//! The checks.

pub(crate) mod dirty_channels;
pub(crate) mod queue;
