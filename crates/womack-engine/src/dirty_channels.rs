//! Channels of which the router has to look at what the shards want.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use ahash::RandomState;
use atomic_waker::AtomicWaker;
use indexmap::IndexSet;
use womack_ledger::ShardId;

type Set = IndexSet<Arc<str>, RandomState>;

/// Channels of which the router has to look at what the shards want: for each shard a set.
///
/// A channel is marked after the shard's map has changed, and looked at after the mark is taken, so
/// that no change goes unseen, however the threads run. Marking twice is marking once, so a set has
/// each channel that changed once, and never means "look at everything". The locks are held for
/// moments, and nothing on the way of a message takes them.
pub struct DirtyChannels {
    shards: Box<[Mutex<Set>]>,
    /// Channels that the router has taken and not reconciled.
    taken: AtomicUsize,
    router: AtomicWaker,
}

impl DirtyChannels {
    /// No channel of any of so many shards is marked.
    pub fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            taken: AtomicUsize::new(0),
            router: AtomicWaker::new(),
        }
    }

    /// Marks a channel of `shard` and wakes the router.
    pub fn mark(&self, shard: ShardId, channel: Arc<str>) {
        self.lock(shard).insert(channel);
        self.router.wake();
    }

    /// Waits for marked channels, then moves all of them to the end of `batch`, those of a shard in
    /// the order in which they were marked. Losing this future loses nothing.
    pub async fn take(&self, batch: &mut VecDeque<(ShardId, Arc<str>)>) {
        poll_fn(|context| {
            if self.try_take(batch) {
                return Poll::Ready(());
            }
            self.router.register(context.waker());
            match self.try_take(batch) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Notes how many of the channels that were taken wait to be reconciled.
    pub fn set_taken(&self, count: usize) {
        self.taken.store(count, Ordering::Relaxed);
    }

    /// The number of channels that wait to be reconciled, both marked and taken.
    pub fn len(&self) -> usize {
        let shards = (0..).map(ShardId).take(self.shards.len());
        let marked: usize = shards.map(|shard| self.lock(shard).len()).sum();
        marked + self.taken.load(Ordering::Relaxed)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn try_take(&self, batch: &mut VecDeque<(ShardId, Arc<str>)>) -> bool {
        let before = batch.len();
        for shard in (0..).map(ShardId).take(self.shards.len()) {
            let taken = std::mem::take(&mut *self.lock(shard));
            batch.extend(taken.into_iter().map(|channel| (shard, channel)));
        }
        batch.len() > before
    }

    fn lock(&self, shard: ShardId) -> MutexGuard<'_, Set> {
        let set = &self.shards[usize::from(shard.0)];
        set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_channel_that_is_marked_twice_is_looked_at_once_and_in_its_order() {
        let dirty = DirtyChannels::new(2);
        let mut batch = VecDeque::new();
        assert!(dirty.take(&mut batch).now_or_never().is_none());
        for name in ["c", "a", "b", "a"] {
            dirty.mark(ShardId(1), name.into());
        }
        dirty.mark(ShardId(0), "a".into());
        assert!(dirty.take(&mut batch).now_or_never().is_some());
        let seen: Vec<_> = batch
            .iter()
            .map(|(shard, name)| (shard.0, &**name))
            .collect();
        assert_eq!(seen, [(0, "a"), (1, "c"), (1, "a"), (1, "b")]);
        assert!(dirty.take(&mut batch).now_or_never().is_none());
    }

    #[test]
    fn no_mark_is_lost_between_threads() {
        let dirty = Arc::new(DirtyChannels::new(1));
        let marking = dirty.clone();
        let count = 20_000_u32;
        let marker = std::thread::spawn(move || {
            for number in 0..count {
                marking.mark(ShardId(0), number.to_string().into());
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut batch = VecDeque::new();
            while batch.len() < count as usize {
                dirty.take(&mut batch).await;
            }
        });
        marker.join().unwrap();
    }
}
