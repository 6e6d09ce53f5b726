//! A point that threads pass together.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

/// Opens once every party has arrived, or somebody opens it without those that are missing.
#[derive(Debug)]
pub(crate) struct Barrier {
    missing: AtomicUsize,
    open: CancellationToken,
}

impl Barrier {
    /// A barrier for so many parties; at least one.
    pub(crate) fn new(parties: usize) -> Self {
        Self {
            missing: AtomicUsize::new(parties),
            open: CancellationToken::new(),
        }
    }

    /// One party is here. Each says so once, and need not wait.
    pub(crate) fn arrive(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.open();
        }
    }

    /// Waits for nobody any longer.
    pub(crate) fn open(&self) {
        self.open.cancel();
    }

    /// Waits until the barrier is open.
    pub(crate) async fn opened(&self) {
        self.open.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn it_opens_with_the_last_party() {
        let barrier = Barrier::new(2);
        barrier.arrive();
        assert!(barrier.opened().now_or_never().is_none());
        barrier.arrive();
        assert!(barrier.opened().now_or_never().is_some());
    }

    #[test]
    fn it_can_be_opened_without_those_that_are_missing() {
        let barrier = Barrier::new(2);
        barrier.open();
        assert!(barrier.opened().now_or_never().is_some());
    }
}
