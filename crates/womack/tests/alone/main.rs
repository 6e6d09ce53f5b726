//! The integration tests that run one at a time: fleets, which need the machine for themselves;
//! tests that measure memory or time; and servers within the process of the test, which take its
//! signals.
//!
//! They are a binary of their own, because `cargo test` runs one binary after another: none of them
//! meets a test of `tests/it`, and those need not know. Among themselves they take turns: each
//! begins with [`turn`].
//!
//! `cargo test -p womack --test alone balancers::` runs those of one module.

mod balancers;
mod handlers;
mod loadtest;
mod original;
mod slow_clients;
