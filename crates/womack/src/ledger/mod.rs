//! Limits: how much may be held for whom.
//!
//! This folder becomes a crate below all others; it imports none of them.

mod limit;

pub(crate) use self::limit::Limit;
