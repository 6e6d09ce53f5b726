//! Knowledge of Redis that every link to it shares: the identity of a server, and the meaning of
//! its errors. Nothing here reads a socket or a clock.

#![expect(dead_code, unused_imports, reason = "the links do not use it yet")]

mod error_class;
mod identity;

pub(crate) use self::{
    error_class::ErrorClass,
    identity::{IdentityCheck, InfoAnswer, Role, Verdict, warn_unverified},
};
