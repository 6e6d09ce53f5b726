//! Primitives of the queues between threads.
//!
//! `tests/models` compiles the same queues over models of these, so that loom can try every order
//! in which threads may run and every value that they may see.

pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
};

pub(crate) use atomic_waker::AtomicWaker;
pub(crate) use crossbeam_queue::ArrayQueue;
pub(crate) use tokio::sync::Notify;
pub(crate) use womack_ledger::Ledger;
