//! Channels of which the router has to look at what the shards want.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, PoisonError},
};

use ahash::RandomState;
use womack_ledger::ShardId;

use crate::{
    queue::receive_batch,
    sync::{AtomicWaker, Mutex, MutexGuard},
};

/// Channels of which the router has to look at what the shards want: for each shard a set.
///
/// A channel is marked after the shard's map has changed, and looked at after the mark is taken, so
/// that no change goes unseen, however the threads run. Marking twice is marking once, so a set has
/// each channel that changed once, and never means "look at everything". The locks are held for
/// moments, and nothing on the way of a message takes them.
pub struct DirtyChannels {
    shards: Box<[Mutex<Marks>]>,
    router: AtomicWaker,
}

/// The marked channels of a shard, which are taken in the order in which they were marked.
#[derive(Default)]
struct Marks {
    order: VecDeque<Arc<str>>,
    /// The same channels. A set that keeps an order itself moves all that it holds when its first
    /// ones are taken.
    set: HashSet<Arc<str>, RandomState>,
}

impl Marks {
    fn add(&mut self, channel: Arc<str>) {
        if self.set.insert(channel.clone()) {
            self.order.push_back(channel);
        }
    }

    /// Takes up to `most` channels.
    fn take(&mut self, most: usize, mut each: impl FnMut(Arc<str>)) {
        let count = self.order.len().min(most);
        for channel in self.order.drain(..count) {
            self.set.remove(&channel);
            each(channel);
        }
        // A burst's memory is given back.
        if self.order.is_empty() && self.order.capacity() > 4 * most {
            self.order.shrink_to(most);
            self.set.shrink_to(most);
        }
    }
}

impl DirtyChannels {
    /// No channel of any of so many shards is marked.
    pub fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            router: AtomicWaker::new(),
        }
    }

    /// Marks a channel of `shard` and wakes the router.
    pub fn mark(&self, shard: ShardId, channel: Arc<str>) {
        lock(&self.shards[usize::from(shard.0)]).add(channel);
        self.router.wake();
    }

    /// Waits for marked channels, then takes about `most` of them, as [`DirtyChannels::try_take`]
    /// does. Losing this future loses nothing.
    pub async fn take(&self, batch: &mut Vec<(ShardId, Arc<str>)>, most: usize) {
        receive_batch(&self.router, || self.try_take(batch, most)).await;
    }

    /// Waits until a channel is marked, and takes none. One task may wait at a time.
    pub async fn marked(&self) {
        receive_batch(&self.router, || !self.is_empty()).await;
    }

    /// Moves about `most` marked channels to the end of `batch`, those of a shard in the order in
    /// which they were marked. Shards that have marked channels have equal shares, so that none
    /// waits for another's burst. False if no channel is marked.
    pub fn try_take(&self, batch: &mut Vec<(ShardId, Arc<str>)>, most: usize) -> bool {
        let marking = self.waiting().filter(|&count| count > 0).count();
        if marking == 0 {
            return false;
        }
        let share = (most / marking).max(1);
        for (shard, marks) in (0..).map(ShardId).zip(&self.shards) {
            lock(marks).take(share, |channel| batch.push((shard, channel)));
        }
        true
    }

    /// The number of channels that wait to be taken. The router reconciles at once those that it
    /// takes, so no others wait.
    pub fn len(&self) -> usize {
        self.waiting().sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many channels of each shard are marked.
    fn waiting(&self) -> impl Iterator<Item = usize> {
        self.shards.iter().map(|marks| lock(marks).order.len())
    }
}

fn lock(marks: &Mutex<Marks>) -> MutexGuard<'_, Marks> {
    marks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Takes what is there, as the numbers of shards and the names of channels.
    fn take(dirty: &DirtyChannels, most: usize) -> Vec<(u16, String)> {
        let mut batch = Vec::new();
        dirty.take(&mut batch, most).now_or_never();
        let named = batch
            .iter()
            .map(|(shard, name)| (shard.0, name.to_string()));
        named.collect()
    }

    fn named<const N: usize>(channels: [(u16, &str); N]) -> Vec<(u16, String)> {
        channels
            .map(|(shard, name)| (shard, name.to_owned()))
            .into()
    }

    fn mark(dirty: &DirtyChannels, shard: u16, names: &str) {
        for name in names.split_terminator(' ') {
            dirty.mark(ShardId(shard), name.into());
        }
    }

    #[test]
    fn a_channel_that_is_marked_twice_is_looked_at_once_and_in_its_order() {
        let dirty = DirtyChannels::new(2);
        assert_eq!(take(&dirty, 9), []);
        mark(&dirty, 1, "c a b a");
        mark(&dirty, 0, "a");
        let seen = [(0, "a"), (1, "c"), (1, "a"), (1, "b")];
        assert_eq!(take(&dirty, 9), named(seen));
        assert_eq!(take(&dirty, 9), []);
    }

    #[test]
    fn a_burst_of_one_shard_leaves_the_others_their_share() {
        let dirty = DirtyChannels::new(3);
        mark(&dirty, 0, "a b c d e f");
        mark(&dirty, 2, "x y z");
        let seen = [(0, "a"), (0, "b"), (2, "x"), (2, "y")];
        assert_eq!(take(&dirty, 4), named(seen));
        let seen = [(0, "c"), (0, "d"), (2, "z")];
        assert_eq!(take(&dirty, 4), named(seen));
        assert_eq!(take(&dirty, 4), named([(0, "e"), (0, "f")]));
        mark(&dirty, 0, "a");
        mark(&dirty, 1, "b");
        assert_eq!(take(&dirty, 1), named([(0, "a"), (1, "b")]), "at least one");
    }

    #[test]
    fn a_channel_that_is_marked_again_while_it_waits_is_looked_at_once() {
        let dirty = DirtyChannels::new(1);
        mark(&dirty, 0, "a b c");
        assert_eq!(take(&dirty, 1), named([(0, "a")]));
        mark(&dirty, 0, "c a b");
        assert_eq!(dirty.len(), 3);
        assert_eq!(take(&dirty, 2), named([(0, "b"), (0, "c")]));
        assert_eq!(dirty.len(), 1);
        assert_eq!(take(&dirty, 2), named([(0, "a")]), "it was taken before");
        assert!(dirty.is_empty());
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let dirty = DirtyChannels::new(1);
        for number in 0..10_000 {
            dirty.mark(ShardId(0), number.to_string().into());
        }
        while !dirty.is_empty() {
            take(&dirty, 10);
        }
        let marks = lock(&dirty.shards[0]);
        assert!(marks.order.capacity() <= 100, "{}", marks.order.capacity());
        assert!(marks.set.capacity() <= 100, "{}", marks.set.capacity());
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
            let mut batch = Vec::new();
            while batch.len() < count as usize {
                dirty.take(&mut batch, 100).await;
            }
        });
        marker.join().unwrap();
    }
}
