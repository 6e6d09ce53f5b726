//! Everything that every link to Redis shares: the identity of a server, the meaning of its errors;
//! and the subscriber.
//!
//! This folder becomes a crate of its own.

mod error;
mod error_class;
mod guard;
mod identity;
mod subscriber;

pub use self::error::{CommandError, Error};
pub(crate) use self::{
    error_class::ErrorClass,
    guard::{Guard, IDENTITY_INTERVAL, UnverifiedLinks, ask_identity, changed, guard},
    identity::{IdentityCheck, InfoAnswer, Role, Verdict, warn_unverified},
    subscriber::{RedisSubscriber, SubscriberConfig, SubscriberMetrics},
};
