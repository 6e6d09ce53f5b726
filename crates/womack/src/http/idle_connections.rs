//! HTTP connections on which nothing is asked at this moment: the first to make room for others.

use std::{
    cell::Cell,
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Context,
    time::Instant,
};

use futures_util::task::AtomicWaker;
use womack_engine::number;
use womack_ledger::ShardId;

/// The order in which connections make room: those first of whose answers it is known that their
/// clients have them, as they can be closed at once; then those that have been idle longest.
type Since = (IdleSince, u64);

/// Whether it is unknown if the client has its last answer, and since when nothing is asked.
pub(super) type IdleSince = (bool, Instant);

/// The idle connections of a shard, the oldest first.
type Idle = BTreeMap<Since, Arc<Eviction>>;

/// The idle connections of all shards.
pub(super) struct IdleConnections {
    /// Each is locked by its own shard when a connection becomes idle or is used again, and by
    /// others only when there is no room.
    shards: Box<[Mutex<Idle>]>,
}

/// How a connection is told to make room.
pub(super) struct Eviction {
    address: IpAddr,
    is_told: AtomicBool,
    task: AtomicWaker,
}

/// A connection's place among the idle ones, if it is idle.
pub(super) struct IdleEntry {
    list: Arc<IdleConnections>,
    shard: ShardId,
    eviction: Arc<Eviction>,
    number: u64,
    since: Cell<Option<IdleSince>>,
}

impl IdleConnections {
    /// None yet, of so many shards.
    pub(super) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
        }
    }

    /// Closes the connection that has been idle longest at `now`, of those from `address` if it is
    /// given. False if there is none.
    pub(super) fn evict(&self, address: Option<IpAddr>, now: Instant) -> bool {
        let oldest = |shard: &Mutex<Idle>| {
            let idle = lock(shard);
            let mut idle = idle.iter().filter(|(((_, since), _), _)| *since <= now);
            let is_meant =
                |eviction: &Eviction| address.is_none_or(|address| eviction.address == address);
            idle.find_map(|(since, eviction)| is_meant(eviction).then_some(*since))
        };
        let found = self.shards.iter().filter_map(|shard| {
            let since = oldest(shard)?;
            Some((since, shard))
        });
        let Some((since, shard)) = found.min_by_key(|(since, _)| *since) else {
            return false;
        };
        // If it has been used meanwhile, that made no room, and whoever asks is told as much.
        let removed = lock(shard).remove(&since);
        removed.is_some_and(|eviction| {
            eviction.is_told.store(true, Ordering::Release);
            eviction.task.wake();
            true
        })
    }
}

impl IdleEntry {
    /// A connection of `shard` from `address` that is in use.
    pub(super) fn new(list: Arc<IdleConnections>, shard: ShardId, address: IpAddr) -> Self {
        let eviction = Arc::new(Eviction {
            address,
            is_told: AtomicBool::new(false),
            task: AtomicWaker::new(),
        });
        Self {
            list,
            shard,
            eviction,
            number: number(),
            since: Cell::new(None),
        }
    }

    /// The connection is idle since then, or in use. Returns whether it is to make room, and wakes
    /// the task of `context` once it is.
    pub(super) fn observe(&self, since: Option<IdleSince>, context: &Context<'_>) -> bool {
        let before = self.since.replace(since);
        if before != since {
            let mut idle = lock(&self.list.shards[usize::from(self.shard.0)]);
            if let Some(before) = before {
                idle.remove(&(before, self.number));
            }
            if let Some(since) = since {
                idle.insert((since, self.number), self.eviction.clone());
                self.eviction.task.register(context.waker());
            }
        }
        // A request may have come before the word to make room: it is answered.
        self.eviction.is_told.swap(false, Ordering::AcqRel) && since.is_some()
    }
}

impl Drop for IdleEntry {
    fn drop(&mut self) {
        if let Some(since) = self.since.take() {
            lock(&self.list.shards[usize::from(self.shard.0)]).remove(&(since, self.number));
        }
    }
}

/// A map is whole whatever the thread that changed it came to.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, task::Waker, time::Duration};

    use super::*;

    #[test]
    fn the_connection_that_has_been_idle_longest_makes_room() {
        let list = Arc::new(IdleConnections::new(2));
        let (start, context) = (Instant::now(), Context::from_waker(Waker::noop()));
        let at = |seconds| start + Duration::from_secs(seconds);
        let entry = |shard, last| {
            let address = Ipv4Addr::new(10, 0, 0, last).into();
            IdleEntry::new(list.clone(), ShardId(shard), address)
        };
        let [a, b, c] = [entry(0, 1), entry(1, 2), entry(1, 1)];
        assert!(!a.observe(Some((false, at(2))), &context));
        assert!(!b.observe(Some((false, at(1))), &context));
        assert!(!c.observe(Some((true, at(0))), &context));
        assert!(list.evict(None, at(9)));
        assert!(
            b.observe(Some((false, at(1))), &context),
            "the oldest is told"
        );
        let of = |last| Some(Ipv4Addr::new(10, 0, 0, last).into());
        assert!(list.evict(of(1), at(9)));
        assert!(!a.observe(None, &context), "it was used meanwhile");
        drop((a, b));
        assert!(!list.evict(of(2), at(9)));
        assert!(list.evict(None, at(9)) && c.observe(Some((true, at(0))), &context));
        c.observe(Some((false, at(9))), &context);
        assert!(!list.evict(None, at(8)), "it is idle later");
    }
}
