//! The shard's map: Redis channel → topics → their local subscribers.
//!
//! Only the shard writes it. Others hold a [`ChannelsReader`]: the router, to learn who wants
//! what, and the admin pages, to count.

use std::{
    cell::Cell,
    iter::Sum,
    ops::Range,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use ahash::RandomState;
use dashmap::{DashMap, Entry as MapEntry};
use smallvec::{SmallVec, smallvec};
use womack_ledger::{CHANNEL_BYTES, Charge, Ledger};
use womack_proto::subscriber::Epoch;

use super::subscribers::{Subscriber, Subscribers};
use crate::{
    channel_count::ChannelCount,
    command::{Interest, Interests},
    encoding::Topic,
    sid::ConnectionId,
};

type Map = DashMap<Arc<str>, SmallVec<[Entry; 1]>, RandomState>;

/// Parts of the map that are locked apart. There is one writer, so a few are enough.
const PARTS: usize = 8;

/// The writing half of a shard's map.
pub(crate) struct Channels {
    map: Arc<Map>,
    connections: Arc<LiveConnections>,
    /// How many channels all shards have.
    count: Arc<ChannelCount>,
    /// The number of the last interest that began.
    interest: Cell<u32>,
    ledger: Ledger,
}

/// The reading half of a shard's map; by default that of an empty one.
#[derive(Clone, Default)]
pub struct ChannelsReader {
    map: Arc<Map>,
    connections: Arc<LiveConnections>,
}

/// The connections to Redis over which something was confirmed and that are not known to be lost. A
/// topic is live if it was confirmed over one of them, so that a lost connection takes all of its
/// topics at once. Locked when a client joins, never for a message.
#[derive(Default)]
struct LiveConnections(RwLock<SmallVec<[Epoch; 8]>>);

impl LiveConnections {
    fn contains(&self, epoch: Epoch) -> bool {
        let epochs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        epochs.contains(&epoch)
    }

    fn add(&self, epoch: Epoch) {
        if !self.contains(epoch) {
            let mut epochs = self.0.write().unwrap_or_else(PoisonError::into_inner);
            epochs.push(epoch);
        }
    }

    fn remove(&self, epoch: Epoch) {
        let mut epochs = self.0.write().unwrap_or_else(PoisonError::into_inner);
        epochs.retain(|known| *known != epoch);
    }
}

/// One topic and who is in it.
struct Entry {
    interest: Interest,
    /// The connection over which Redis has confirmed the channel for this topic.
    confirmed: Epoch,
    /// Messages that came for this topic; begins again at 2^32.
    messages: AtomicU32,
    subscribers: Subscribers,
    /// The topic, here and wherever else it is known.
    _charge: Charge,
}

/// What a channel, or one topic of it, has to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Subscribers.
    pub subscribers: u64,
    /// Messages since the first subscriber came; begins again at 2^32.
    pub messages: u32,
}

/// What one topic of a channel has to do in one shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TopicLoad {
    /// The topic.
    pub topic: Topic,
    /// Whether Redis has confirmed the channel for it.
    pub live: bool,
    /// How much it has to do.
    pub load: Load,
}

impl Entry {
    fn new(interest: Interest, charge: Charge) -> Self {
        Self {
            _charge: charge,
            interest,
            confirmed: Epoch::NONE,
            messages: AtomicU32::new(0),
            subscribers: Subscribers::default(),
        }
    }

    fn is_of(&self, topic: Topic) -> bool {
        self.interest.topic == topic
    }

    fn load(&self) -> Load {
        Load {
            subscribers: self.subscribers.count() as u64,
            messages: self.messages.load(Ordering::Relaxed),
        }
    }
}

/// Every topic gets every message of its channel, so the one that has had most knows how many
/// there were.
impl Sum for Load {
    fn sum<I: Iterator<Item = Self>>(loads: I) -> Self {
        loads.fold(Self::default(), |sum, load| Self {
            subscribers: sum.subscribers + load.subscribers,
            messages: sum.messages.max(load.messages),
        })
    }
}

/// What joining a topic brought.
pub(crate) struct Joined {
    /// The map's own copy of the channel's name, shared by all its subscribers.
    pub(crate) channel: Arc<str>,
    /// The place in the topic's list.
    pub(crate) place: u32,
    /// The topic had no subscriber in this shard.
    pub(crate) first: bool,
    /// Redis has confirmed the topic.
    pub(crate) live: bool,
}

/// What leaving a topic brought.
#[derive(Default)]
pub(crate) struct Left {
    /// The subscriber that now has the place of the one that left.
    pub(crate) moved: Option<Subscriber>,
    /// The topic has no subscriber in this shard any more.
    pub(crate) last: bool,
}

impl Channels {
    /// An empty map, whose channels are counted in `count` and charged to `ledger`.
    pub(crate) fn new(count: Arc<ChannelCount>, ledger: &Ledger) -> Self {
        let map = DashMap::with_hasher_and_shard_amount(RandomState::new(), PARTS);
        Self {
            map: Arc::new(map),
            connections: Arc::default(),
            count,
            interest: Cell::new(0),
            ledger: ledger.clone(),
        }
    }

    pub(crate) fn reader(&self) -> ChannelsReader {
        ChannelsReader {
            map: self.map.clone(),
            connections: self.connections.clone(),
        }
    }

    /// Adds `subscriber` to a topic of `channel`. `None` if nobody of this shard is in the channel,
    /// and all shards together have `most` already.
    pub(crate) fn join(
        &self,
        channel: Arc<str>,
        topic: Topic,
        subscriber: Subscriber,
        most: usize,
    ) -> Option<Joined> {
        let mut entry = match self.map.entry(channel) {
            MapEntry::Occupied(entry) => entry.into_ref(),
            MapEntry::Vacant(entry) => {
                if !self.count.try_add(most) {
                    return None;
                }
                entry.insert(SmallVec::new())
            }
        };
        let channel = entry.key().clone();
        let entries = entry.value_mut();
        let at = entries.iter().position(|entry| entry.is_of(topic));
        let at = at.unwrap_or_else(|| {
            let number = self.interest.get().wrapping_add(1);
            self.interest.set(number);
            let charge = self.ledger.hold(CHANNEL_BYTES + channel.len());
            entries.push(Entry::new(Interest { topic, number }, charge));
            entries.len() - 1
        });
        let entry = &mut entries[at];
        let place = entry.subscribers.add(subscriber);
        Some(Joined {
            channel,
            place,
            first: place == 0,
            live: self.connections.contains(entry.confirmed),
        })
    }

    /// Takes the subscriber at `place` out of a topic of `channel`.
    pub(crate) fn leave(&self, channel: &str, topic: Topic, place: u32) -> Left {
        let Some(mut entry) = self.map.get_mut(channel) else {
            return Left::default();
        };
        let Some(at) = entry.iter().position(|entry| entry.is_of(topic)) else {
            return Left::default();
        };
        let subscribers = &mut entry[at].subscribers;
        let moved = subscribers.remove(place);
        let last = subscribers.count() == 0;
        if last {
            entry.swap_remove(at);
        }
        let unused = entry.is_empty();
        drop(entry);
        if unused && self.map.remove(channel).is_some() {
            self.count.remove();
        }
        Left { moved, last }
    }

    /// Notes, for the subscriber at `place` of a topic, where its membership now stands.
    pub(crate) fn set_membership(&self, channel: &str, topic: Topic, place: u32, membership: u32) {
        self.change(channel, topic, |entry| {
            entry.subscribers.set_membership(place, membership);
        });
    }

    /// Notes that Redis has confirmed `channel` over a connection, for an interest. True if it is
    /// there and was not live.
    pub(crate) fn set_live(&self, channel: &str, interest: Interest, epoch: Epoch) -> bool {
        let confirmed = self.change(channel, interest.topic, |entry| {
            let is_its = entry.interest == interest;
            is_its.then(|| std::mem::replace(&mut entry.confirmed, epoch))
        });
        let Some(Some(before)) = confirmed else {
            return false;
        };
        let was_live = self.connections.contains(before);
        self.connections.add(epoch);
        !was_live
    }

    /// Notes that a connection is gone, and that all that was confirmed over it is not live.
    pub(crate) fn lost_connection(&self, epoch: Epoch) {
        self.connections.remove(epoch);
    }

    /// Notes that `channel` brings nothing until Redis confirms its topics again.
    pub(crate) fn set_lost(&self, channel: &str) {
        let Some(mut entry) = self.map.get_mut(channel) else {
            return;
        };
        for entry in entry.iter_mut() {
            entry.confirmed = Epoch::NONE;
        }
    }

    /// Whether Redis has confirmed a topic of `channel`.
    pub(crate) fn is_live(&self, channel: &str, topic: Topic) -> bool {
        let Some(entry) = self.map.get(channel) else {
            return false;
        };
        let mut topics = entry.iter().filter(|entry| entry.is_of(topic));
        topics.any(|entry| self.connections.contains(entry.confirmed))
    }

    /// Calls `read` with the subscribers of a topic of `channel`, which has got a message, and with
    /// whether their places are held.
    pub(crate) fn read<R>(
        &self,
        channel: &str,
        topic: Topic,
        read: impl FnOnce(&[Subscriber], bool) -> R,
    ) -> Option<R> {
        let entry = self.map.get(channel)?;
        let entry = entry.iter().find(|entry| entry.is_of(topic))?;
        // Nobody else writes it, so that nothing is lost between the two.
        let messages = entry.messages.load(Ordering::Relaxed);
        entry
            .messages
            .store(messages.wrapping_add(1), Ordering::Relaxed);
        Some(read(entry.subscribers.all(), entry.subscribers.are_held()))
    }

    /// Calls `each` for the subscribers at some places of a topic of `channel`.
    pub(crate) fn for_places(
        &self,
        channel: &str,
        topic: Topic,
        places: Range<usize>,
        each: impl FnMut(ConnectionId),
    ) {
        let Some(entry) = self.map.get(channel) else {
            return;
        };
        if let Some(entry) = entry.iter().find(|entry| entry.is_of(topic)) {
            entry.subscribers.at(places).for_each(each);
        }
    }

    /// Keeps the subscribers of a topic of `channel` where they are. Returns how many places there
    /// are.
    pub(crate) fn hold(&self, channel: &str, topic: Topic) -> Option<usize> {
        self.change(channel, topic, |entry| entry.subscribers.hold())
    }

    /// Lets subscribers of a topic of `channel` that come last take the places of those that leave.
    /// There must be no gaps.
    pub(crate) fn release(&self, channel: &str, topic: Topic) {
        self.change(channel, topic, |entry| entry.subscribers.release());
    }

    /// Moves subscribers of a topic of `channel` into the gaps. Returns who moved, and where to.
    pub(crate) fn close_gaps(&self, channel: &str, topic: Topic) -> Vec<(u32, Subscriber)> {
        let moved = self.change(channel, topic, |entry| entry.subscribers.close_gaps());
        moved.unwrap_or_default()
    }

    /// The subscribers of `channel` by the interests that `wanted` accepts.
    pub(crate) fn members(
        &self,
        channel: &str,
        wanted: impl Fn(Interest) -> bool,
    ) -> Vec<ConnectionId> {
        let Some(entry) = self.map.get(channel) else {
            return Vec::new();
        };
        let entries = entry.iter().filter(|entry| wanted(entry.interest));
        entries.flat_map(|entry| entry.subscribers.at(..)).collect()
    }

    /// Changes what is known of a topic of `channel`, if it has subscribers here.
    fn change<R>(
        &self,
        channel: &str,
        topic: Topic,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let mut entry = self.map.get_mut(channel)?;
        let entry = entry.iter_mut().find(|entry| entry.is_of(topic))?;
        Some(change(entry))
    }
}

impl ChannelsReader {
    /// The topics of `channel` that have subscribers in this shard.
    pub(crate) fn interests(&self, channel: &str) -> Interests {
        let Some(entry) = self.map.get(channel) else {
            return smallvec![];
        };
        entry.iter().map(|entry| entry.interest).collect()
    }

    /// What each topic of `channel` has to do in this shard.
    pub fn loads(&self, channel: &str) -> Vec<TopicLoad> {
        let Some(entry) = self.map.get(channel) else {
            return Vec::new();
        };
        let loads = entry.iter().map(|entry| TopicLoad {
            topic: entry.interest.topic,
            live: self.connections.contains(entry.confirmed),
            load: entry.load(),
        });
        loads.collect()
    }

    /// Calls `each` with every Redis channel that has subscribers in this shard, and with what it
    /// has to do here. It must not look at this map or another one meanwhile.
    pub fn for_each_channel(&self, mut each: impl FnMut(&Arc<str>, Load)) {
        for entry in self.map.iter() {
            each(entry.key(), entry.iter().map(Entry::load).sum());
        }
    }
}

#[cfg(test)]
mod tests;
