//! How many channels a node has.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many channels a node has: those with clients, which shards count as they come and go, and
/// those that the router has subscribed at Redis.
#[derive(Debug, Default)]
pub(crate) struct ChannelCount {
    /// Channels with clients, each counted once in each shard that has it.
    wanted: AtomicUsize,
    /// Channels that are subscribed at Redis or asked for, those included that nobody wants any
    /// more and whose grace time is not over.
    subscribed: AtomicUsize,
}

impl ChannelCount {
    /// Counts a channel that a shard has from now on. False if there are `most` with clients, or
    /// twice as many at Redis: a client that leaves channels for others in turn has not more.
    pub(crate) fn try_add(&self, most: usize) -> bool {
        if self.subscribed.load(Ordering::Relaxed) >= most.saturating_mul(2) {
            return false;
        }
        let more = |count| (count < most).then_some(count + 1);
        self.wanted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// A shard has a channel no more.
    pub(crate) fn remove(&self) {
        self.wanted.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes how many the router has.
    pub(crate) fn set_subscribed(&self, count: usize) {
        self.subscribed.store(count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_refused_beyond_the_limit_and_beyond_twice_as_many_at_redis() {
        let count = ChannelCount::default();
        let added: Vec<_> = (0..3).map(|_| count.try_add(2)).collect();
        assert_eq!(added, [true, true, false]);
        count.remove();
        count.set_subscribed(4);
        assert!(!count.try_add(2));
        count.set_subscribed(3);
        assert!(count.try_add(2));
    }
}
