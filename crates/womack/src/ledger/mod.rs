//! What is held for whom, and how much of it there may be.
//!
//! This folder becomes a crate below all others; it imports none of them.

mod limit;

pub(crate) use self::limit::Limit;
