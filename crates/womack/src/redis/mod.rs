//! Everything that every link to Redis shares: the identity of a server, the meaning of its errors;
//! and the subscriber.
//!
//! This folder becomes a crate of its own.

mod error_class;
mod identity;
mod subscriber;

pub(crate) use self::{
    error_class::ErrorClass,
    identity::{IdentityCheck, InfoAnswer, Verdict, warn_unverified},
    subscriber::RedisSubscriber,
};
