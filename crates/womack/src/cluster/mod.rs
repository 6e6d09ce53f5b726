//! Nodes among themselves.
//!
//! This folder becomes a crate beside the one that speaks to Redis.

pub(crate) mod relay;
