//! The shard's map: Redis channel → topics → dense lists of local subscribers.
//!
//! Only the shard writes it. Others hold a [`ChannelsReader`]: the router, to learn who wants
//! what, and the admin pages, to count.

use std::{
    iter::Sum,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use ahash::RandomState;
use dashmap::DashMap;
use smallvec::{SmallVec, smallvec};
use womack_proto::NamespaceId;

use crate::command::{Topic, Topics};

type Map = DashMap<Arc<str>, SmallVec<[Entry; 1]>, RandomState>;

/// Parts of the map that are locked apart. There is one writer, so a few are enough.
const PARTS: usize = 8;

/// The writing half of a shard's map.
pub(crate) struct Channels {
    map: Arc<Map>,
}

/// The reading half of a shard's map.
#[derive(Clone)]
pub(crate) struct ChannelsReader {
    map: Arc<Map>,
}

/// One topic and who is in it.
struct Entry {
    topic: Topic,
    /// Whether Redis has confirmed the channel for this topic.
    live: bool,
    /// Messages that came for this topic; begins again at 2^32.
    messages: AtomicU32,
    /// Whether places stay as they are: who leaves then leaves a gap.
    held: bool,
    gaps: u32,
    subscribers: Vec<Subscriber>,
}

/// Stands where somebody has left.
const GAP: Subscriber = Subscriber {
    connection: u32::MAX,
    membership: u32::MAX,
};

/// What a channel, or one topic of it, has to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Load {
    pub(crate) subscribers: u64,
    /// Messages since the first subscriber came; begins again at 2^32.
    pub(crate) messages: u32,
}

/// What one topic of a channel has to do in one shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TopicLoad {
    pub(crate) topic: Topic,
    /// Whether Redis has confirmed the channel for it.
    pub(crate) live: bool,
    pub(crate) load: Load,
}

impl Entry {
    fn load(&self) -> Load {
        Load {
            subscribers: self.subscribers.len() as u64 - u64::from(self.gaps),
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

/// A connection in a topic. The two numbers find each other: the connection's membership holds
/// the place in this list, and this holds the place in the connection's list of memberships, so
/// that joining and leaving take the same time however many there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Subscriber {
    pub(crate) connection: u32,
    pub(crate) membership: u32,
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
    pub(crate) fn new() -> Self {
        let map = DashMap::with_hasher_and_shard_amount(RandomState::new(), PARTS);
        Self { map: Arc::new(map) }
    }

    pub(crate) fn reader(&self) -> ChannelsReader {
        ChannelsReader {
            map: self.map.clone(),
        }
    }

    /// Adds `subscriber` to a topic of `channel`.
    pub(crate) fn join(&self, channel: Arc<str>, topic: Topic, subscriber: Subscriber) -> Joined {
        let mut entry = self.map.entry(channel).or_default();
        let channel = entry.key().clone();
        let entries = entry.value_mut();
        let at = entries
            .iter()
            .position(|entry| entry.topic == topic)
            .unwrap_or_else(|| {
                entries.push(Entry {
                    topic,
                    live: false,
                    messages: AtomicU32::new(0),
                    held: false,
                    gaps: 0,
                    subscribers: Vec::new(),
                });
                entries.len() - 1
            });
        let entry = &mut entries[at];
        let place = u32::try_from(entry.subscribers.len()).expect("subscribers have u32 numbers");
        entry.subscribers.push(subscriber);
        Joined {
            channel,
            place,
            first: place == 0,
            live: entry.live,
        }
    }

    /// Takes the subscriber at `place` out of a topic of `channel`.
    pub(crate) fn leave(&self, channel: &str, topic: Topic, place: u32) -> Left {
        let Some(mut entry) = self.map.get_mut(channel) else {
            return Left::default();
        };
        let Some(at) = entry.iter().position(|entry| entry.topic == topic) else {
            return Left::default();
        };
        let Entry {
            subscribers,
            held,
            gaps,
            ..
        } = &mut entry[at];
        let place = place as usize;
        if place >= subscribers.len() {
            return Left::default();
        }
        let mut moved = None;
        if *held {
            subscribers[place] = GAP;
            *gaps += 1;
        } else {
            subscribers.swap_remove(place);
            moved = subscribers.get(place).copied();
        }
        let last = subscribers.len() == *gaps as usize;
        if last {
            entry.swap_remove(at);
        } else if subscribers.len() < subscribers.capacity() / 4 {
            subscribers.shrink_to(subscribers.len() * 2);
        }
        let unused = entry.is_empty();
        drop(entry);
        if unused {
            self.map.remove(channel);
        }
        Left { moved, last }
    }

    /// Notes, for the subscriber at `place` of a topic, where its membership now stands.
    pub(crate) fn set_membership(&self, channel: &str, topic: Topic, place: u32, membership: u32) {
        let Some(mut entry) = self.map.get_mut(channel) else {
            return;
        };
        let found = entry.iter_mut().find(|entry| entry.topic == topic);
        if let Some(subscriber) = found.and_then(|e| e.subscribers.get_mut(place as usize)) {
            subscriber.membership = membership;
        }
    }

    /// Notes that Redis has confirmed a topic of `channel`.
    pub(crate) fn set_live(&self, channel: &str, topic: Topic) {
        let Some(mut entry) = self.map.get_mut(channel) else {
            return;
        };
        if let Some(entry) = entry.iter_mut().find(|entry| entry.topic == topic) {
            entry.live = true;
        }
    }

    /// Notes that `channel` brings nothing until Redis confirms its topics again.
    pub(crate) fn set_lost(&self, channel: &str) {
        let Some(mut entry) = self.map.get_mut(channel) else {
            return;
        };
        for entry in entry.iter_mut() {
            entry.live = false;
        }
    }

    /// Whether Redis has confirmed a topic of `channel`.
    pub(crate) fn is_live(&self, channel: &str, topic: Topic) -> bool {
        let Some(entry) = self.map.get(channel) else {
            return false;
        };
        entry.iter().any(|entry| entry.topic == topic && entry.live)
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
        let entry = entry.iter().find(|entry| entry.topic == topic)?;
        // Nobody else writes it, so that nothing is lost between the two.
        let messages = entry.messages.load(Ordering::Relaxed);
        entry
            .messages
            .store(messages.wrapping_add(1), Ordering::Relaxed);
        Some(read(&entry.subscribers, entry.held))
    }

    /// Calls `each` for the subscribers at some places of a topic of `channel`.
    pub(crate) fn for_places(
        &self,
        channel: &str,
        topic: Topic,
        places: Range<usize>,
        mut each: impl FnMut(u32),
    ) {
        let Some(entry) = self.map.get(channel) else {
            return;
        };
        let found = entry.iter().find(|entry| entry.topic == topic);
        let subscribers = found.and_then(|entry| entry.subscribers.get(places));
        for subscriber in subscribers.unwrap_or_default() {
            if *subscriber != GAP {
                each(subscriber.connection);
            }
        }
    }

    /// Keeps the subscribers of a topic of `channel` where they are. Returns how many places there
    /// are.
    pub(crate) fn hold(&self, channel: &str, topic: Topic) -> Option<usize> {
        let mut entry = self.map.get_mut(channel)?;
        let entry = entry.iter_mut().find(|entry| entry.topic == topic)?;
        entry.held = true;
        Some(entry.subscribers.len())
    }

    /// Lets subscribers of a topic of `channel` that come last take the places of those that leave.
    /// There must be no gaps.
    pub(crate) fn release(&self, channel: &str, topic: Topic) {
        let Some(mut entry) = self.map.get_mut(channel) else {
            return;
        };
        if let Some(entry) = entry.iter_mut().find(|entry| entry.topic == topic) {
            entry.held = false;
        }
    }

    /// Moves subscribers of a topic of `channel` into the gaps. Returns who moved, and where to.
    pub(crate) fn close_gaps(&self, channel: &str, topic: Topic) -> Vec<(u32, Subscriber)> {
        let mut moved = Vec::new();
        let Some(mut entry) = self.map.get_mut(channel) else {
            return moved;
        };
        let Some(entry) = entry.iter_mut().find(|entry| entry.topic == topic) else {
            return moved;
        };
        let mut place = 0;
        while entry.gaps > 0 && place < entry.subscribers.len() {
            if entry.subscribers[place] != GAP {
                place += 1;
                continue;
            }
            entry.gaps -= 1;
            entry.subscribers.swap_remove(place);
            match entry.subscribers.get(place) {
                Some(subscriber) if *subscriber != GAP => moved.push((place as u32, *subscriber)),
                _ => {}
            }
        }
        moved
    }

    /// The subscribers of all topics of `channel` in `namespace`.
    pub(crate) fn members(&self, channel: &str, namespace: NamespaceId) -> Vec<u32> {
        let Some(entry) = self.map.get(channel) else {
            return Vec::new();
        };
        entry
            .iter()
            .filter(|entry| entry.topic.namespace == namespace)
            .flat_map(|entry| &entry.subscribers)
            .filter(|subscriber| **subscriber != GAP)
            .map(|subscriber| subscriber.connection)
            .collect()
    }
}

impl ChannelsReader {
    /// The topics of `channel` that have subscribers in this shard.
    pub(crate) fn topics(&self, channel: &str) -> Topics {
        let Some(entry) = self.map.get(channel) else {
            return smallvec![];
        };
        entry.iter().map(|entry| entry.topic).collect()
    }

    /// What each topic of `channel` has to do in this shard.
    pub(crate) fn loads(&self, channel: &str) -> Vec<TopicLoad> {
        let Some(entry) = self.map.get(channel) else {
            return Vec::new();
        };
        let loads = entry.iter().map(|entry| TopicLoad {
            topic: entry.topic,
            live: entry.live,
            load: entry.load(),
        });
        loads.collect()
    }

    /// Calls `each` with every Redis channel that has subscribers in this shard, and with what it
    /// has to do here. It must not look at this map or another one meanwhile.
    pub(crate) fn for_each_channel(&self, mut each: impl FnMut(&Arc<str>, Load)) {
        for entry in self.map.iter() {
            each(entry.key(), entry.iter().map(Entry::load).sum());
        }
    }

    /// Every Redis channel that has subscribers in this shard.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.map.iter().map(|entry| entry.key().clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Encoding;

    const TOPIC: Topic = Topic {
        namespace: NamespaceId(0),
        encoding: Encoding::Modern,
    };
    const OTHER: Topic = Topic {
        namespace: NamespaceId(1),
        encoding: Encoding::Modern,
    };

    fn join(channels: &Channels, topic: Topic, connection: u32) -> Joined {
        channels.join(
            "c".into(),
            topic,
            Subscriber {
                connection,
                membership: connection * 10,
            },
        )
    }

    fn subscribers(channels: &Channels, topic: Topic) -> Vec<u32> {
        let mut found = Vec::new();
        let places = 0..channels.read("c", topic, |all, _| all.len()).unwrap_or(0);
        channels.for_places("c", topic, places, |connection| found.push(connection));
        found
    }

    #[test]
    fn last_subscriber_takes_the_place_of_the_one_that_leaves() {
        let channels = Channels::new();
        assert!(join(&channels, TOPIC, 1).first);
        assert!(!join(&channels, TOPIC, 2).first);
        assert_eq!(join(&channels, TOPIC, 3).place, 2);
        let left = channels.leave("c", TOPIC, 0);
        assert_eq!(
            left.moved,
            Some(Subscriber {
                connection: 3,
                membership: 30
            })
        );
        assert!(!left.last);
        assert_eq!(subscribers(&channels, TOPIC), [3, 2]);
    }

    #[test]
    fn places_that_are_held_stay_until_gaps_are_closed() {
        let channels = Channels::new();
        for connection in 1..=5 {
            join(&channels, TOPIC, connection);
        }
        assert_eq!(channels.hold("c", TOPIC), Some(5));
        for place in [0, 3, 4] {
            let left = channels.leave("c", TOPIC, place);
            assert!(left.moved.is_none() && !left.last);
        }
        assert_eq!(join(&channels, TOPIC, 6).place, 5);
        assert_eq!(subscribers(&channels, TOPIC), [2, 3, 6]);
        assert_eq!(channels.members("c", TOPIC.namespace), [2, 3, 6]);
        assert_eq!(channels.reader().loads("c")[0].load.subscribers, 3);
        let moved = channels.close_gaps("c", TOPIC);
        let to: Vec<_> = moved
            .iter()
            .map(|(place, who)| (*place, who.connection))
            .collect();
        assert_eq!(to, [(0, 6)]);
        assert_eq!(subscribers(&channels, TOPIC), [6, 2, 3]);
        channels.release("c", TOPIC);
        assert_eq!(
            channels
                .leave("c", TOPIC, 0)
                .moved
                .map(|who| who.connection),
            Some(3)
        );
        channels.hold("c", TOPIC);
        assert!(!channels.leave("c", TOPIC, 0).last && channels.leave("c", TOPIC, 1).last);
        assert!(channels.reader().names().is_empty());
    }

    #[test]
    fn topics_of_one_channel_are_apart_and_go_with_their_last_subscriber() {
        let channels = Channels::new();
        let reader = channels.reader();
        join(&channels, TOPIC, 1);
        join(&channels, OTHER, 1);
        channels.set_live("c", TOPIC);
        assert!(channels.is_live("c", TOPIC) && !channels.is_live("c", OTHER));
        assert_eq!(reader.topics("c").len(), 2);
        assert_eq!(channels.members("c", OTHER.namespace), [1]);
        assert_eq!(channels.members("x", OTHER.namespace), [0_u32; 0]);
        assert!(channels.leave("c", TOPIC, 0).last);
        assert_eq!(reader.topics("c")[..], [OTHER]);
        assert!(channels.leave("c", OTHER, 0).last);
        assert!(reader.names().is_empty());
        assert!(
            !join(&channels, TOPIC, 1).live,
            "a topic that was gone is not live again"
        );
    }

    #[test]
    fn readers_see_subscribers_and_messages() {
        let channels = Channels::new();
        let reader = channels.reader();
        join(&channels, TOPIC, 1);
        join(&channels, TOPIC, 2);
        join(&channels, OTHER, 3);
        for topic in [TOPIC, TOPIC, OTHER] {
            channels.read("c", topic, |_, _| ());
        }
        let mut found = Vec::new();
        reader.for_each_channel(|channel, load| found.push((channel.clone(), load)));
        let load = Load {
            subscribers: 3,
            messages: 2,
        };
        assert_eq!(found, [("c".into(), load)]);
        let loads = reader.loads("c");
        assert_eq!(loads[0].load.messages, 2);
        assert_eq!((loads[1].topic, loads[1].load.subscribers), (OTHER, 1));
        assert!(reader.loads("x").is_empty());
    }

    #[test]
    fn leaving_what_is_not_there_changes_nothing() {
        let channels = Channels::new();
        join(&channels, TOPIC, 1);
        assert!(!channels.leave("x", TOPIC, 0).last);
        assert!(!channels.leave("c", OTHER, 0).last);
        assert!(!channels.leave("c", TOPIC, 5).last);
        assert_eq!(subscribers(&channels, TOPIC), [1]);
    }
}
