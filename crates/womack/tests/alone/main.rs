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
mod hostile;
mod ledger;
mod loadtest;
mod memory;
mod ordinary;
mod original;
mod slow_clients;

use tokio::sync::{Mutex, MutexGuard};

/// Waits until no other test of this binary runs; the test runs alone until it drops the guard.
///
/// A test takes it first, so that it is dropped last, after all servers and clients.
async fn turn() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::const_new(());
    MACHINE.lock().await
}
