//! Whether a thread does its work.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A question to every thread, which answers it when it comes to it.
#[derive(Clone, Default)]
pub struct Beat(Arc<AtomicUsize>);

impl Beat {
    /// A thread has come to the question.
    pub fn answer(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many have.
    pub fn answers(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
