//! The router's own table: which shards want which topics of a Redis channel.
//!
//! It is derived from the shards' maps, which are what is desired, and says what Redis has been
//! asked for. Looking at a channel twice, late, or once for several reasons does no harm.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use crate::{
    command::{Topic, Topics},
    sid::ShardId,
};

type Map<K, V> = std::collections::HashMap<K, V, ahash::RandomState>;

/// Where the messages of each Redis channel go.
pub(crate) struct Routes {
    channels: Map<Arc<str>, Route>,
    /// Channels that nobody wanted at some time, oldest first.
    leaving: VecDeque<(Instant, Arc<str>)>,
    grace: Duration,
}

/// What the router knows of one Redis channel.
pub(crate) struct Route {
    /// Who gets its messages.
    pub(crate) topics: SmallVec<[TopicRoute; 1]>,
    state: State,
    /// Since when nobody wants it.
    unwanted_since: Option<Instant>,
}

/// Who gets the messages of one topic, and how their frame begins.
pub(crate) struct TopicRoute {
    pub(crate) topic: Topic,
    /// What stands before the message in the frame.
    pub(crate) prefix: Box<[u8]>,
    pub(crate) shards: ShardSet,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Redis has not been asked.
    Idle,
    /// Redis has been asked.
    Asked,
    /// Redis has confirmed.
    Live,
}

/// What a look at a channel found to do.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) enum Looked {
    /// Nothing.
    #[default]
    Unchanged,
    /// Redis is to be asked for the channel.
    Subscribe,
    /// The channel is live: the shard's waiting acknowledgements can go.
    Live,
}

impl Routes {
    /// `grace` is how long a channel that nobody wants stays subscribed.
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            channels: Map::default(),
            leaving: VecDeque::new(),
            grace,
        }
    }

    /// Where messages on `channel` go.
    pub(crate) fn get(&self, channel: &str) -> Option<(&Arc<str>, &Route)> {
        self.channels.get_key_value(channel)
    }

    /// Notes that `shard` now wants `topics` of `channel`, and no other.
    pub(crate) fn look(
        &mut self,
        shard: ShardId,
        channel: &Arc<str>,
        topics: &Topics,
        prefix: impl Fn(Topic) -> Box<[u8]>,
        now: Instant,
    ) -> Looked {
        if topics.is_empty() && !self.channels.contains_key(channel) {
            return Looked::Unchanged;
        }
        let route = self
            .channels
            .entry(channel.clone())
            .or_insert_with(|| Route {
                topics: SmallVec::new(),
                state: State::Idle,
                unwanted_since: None,
            });
        for known in &mut route.topics {
            known.shards.set(shard, topics.contains(&known.topic));
        }
        for &topic in topics {
            if !route.topics.iter().any(|known| known.topic == topic) {
                let mut shards = ShardSet::default();
                shards.set(shard, true);
                route.topics.push(TopicRoute {
                    topic,
                    prefix: prefix(topic),
                    shards,
                });
            }
        }
        route.topics.retain(|known| !known.shards.is_empty());
        if route.topics.is_empty() {
            if route.state == State::Idle {
                self.channels.remove(channel);
            } else if route.unwanted_since.is_none() {
                route.unwanted_since = Some(now);
                self.leaving.push_back((now, channel.clone()));
            }
            return Looked::Unchanged;
        }
        route.unwanted_since = None;
        if topics.is_empty() {
            return Looked::Unchanged;
        }
        match route.state {
            State::Idle => {
                route.state = State::Asked;
                Looked::Subscribe
            }
            State::Asked => Looked::Unchanged,
            State::Live => Looked::Live,
        }
    }

    /// Redis confirmed `channel`: who is to be told.
    pub(crate) fn confirmed(&mut self, channel: &str) -> Option<&Route> {
        let route = self.channels.get_mut(channel)?;
        if route.state != State::Asked {
            return None;
        }
        route.state = State::Live;
        Some(route)
    }

    /// The link is gone: nothing is subscribed any more. Drops what nobody wants.
    pub(crate) fn unlinked(&mut self) {
        self.leaving.clear();
        self.channels.retain(|_, route| {
            route.state = State::Idle;
            !route.topics.is_empty()
        });
    }

    /// `channel` was live and is not any more; it counts as asked for from here on. False if nobody
    /// wants it, so that it is dropped, or if it was not live.
    pub(crate) fn lost(&mut self, channel: &str) -> bool {
        let Some(route) = self.channels.get_mut(channel) else {
            return false;
        };
        if route.topics.is_empty() {
            self.channels.remove(channel);
            return false;
        }
        let was_live = route.state == State::Live;
        route.state = State::Asked;
        was_live
    }

    /// Everything that is wanted and that Redis has not been asked for; it counts as asked from
    /// here on.
    pub(crate) fn ask_for_all(&mut self) -> Vec<Arc<str>> {
        let mut wanted = Vec::new();
        for (channel, route) in &mut self.channels {
            if route.state == State::Idle {
                route.state = State::Asked;
                wanted.push(channel.clone());
            }
        }
        wanted
    }

    /// Every channel that Redis was asked for or confirmed.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    /// All channels, to be looked at again.
    pub(crate) fn channels(&self) -> Vec<Arc<str>> {
        self.channels.keys().cloned().collect()
    }

    /// Forgets the channels that nobody has wanted for the grace time, `most` of them at the
    /// most, and says which they were: Redis is to drop them.
    pub(crate) fn expire(&mut self, now: Instant, most: usize) -> Vec<Arc<str>> {
        let mut expired = Vec::new();
        while expired.len() < most {
            let Some((since, _)) = self.leaving.front() else {
                break;
            };
            if now < *since + self.grace {
                break;
            }
            let Some((since, channel)) = self.leaving.pop_front() else {
                break;
            };
            let unwanted = self
                .channels
                .get(&channel)
                .and_then(|route| route.unwanted_since);
            if unwanted == Some(since) {
                self.channels.remove(&channel);
                expired.push(channel);
            }
        }
        expired
    }

    /// When [`Routes::expire`] next has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.leaving.front().map(|(since, _)| *since + self.grace)
    }
}

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ShardSet(u128);

impl ShardSet {
    pub(crate) fn set(&mut self, shard: ShardId, present: bool) {
        let bit = 1 << shard.0;
        if present {
            self.0 |= bit;
        } else {
            self.0 &= !bit;
        }
    }

    pub(crate) const fn contains(self, shard: ShardId) -> bool {
        self.0 & (1 << shard.0) != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ShardId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let shard = u16::try_from(left.trailing_zeros())
                .ok()
                .filter(|_| left != 0)?;
            left &= left - 1;
            Some(ShardId(shard))
        })
    }
}

#[cfg(test)]
mod tests {
    use womack_proto::NamespaceId;

    use super::*;
    use crate::command::Encoding;

    const GRACE: Duration = Duration::from_secs(2);
    const TOPIC: Topic = Topic {
        namespace: NamespaceId(0),
        encoding: Encoding::Modern,
    };
    const OTHER: Topic = Topic {
        namespace: NamespaceId(1),
        encoding: Encoding::Modern,
    };

    fn look(routes: &mut Routes, shard: u16, topics: &[Topic], now: Instant) -> Looked {
        routes.look(
            ShardId(shard),
            &"c".into(),
            &topics.into(),
            |_| Box::default(),
            now,
        )
    }

    #[test]
    fn second_shard_asks_redis_for_nothing() {
        let (mut routes, now) = (Routes::new(GRACE), Instant::now());
        assert_eq!(look(&mut routes, 0, &[TOPIC], now), Looked::Subscribe);
        assert_eq!(look(&mut routes, 1, &[TOPIC], now), Looked::Unchanged);
        let route = routes.confirmed("c").unwrap();
        let shards: Vec<_> = route.topics[0].shards.iter().collect();
        assert_eq!(shards, [ShardId(0), ShardId(1)]);
        assert_eq!(look(&mut routes, 2, &[TOPIC, OTHER], now), Looked::Live);
        assert_eq!(routes.get("c").unwrap().1.topics.len(), 2);
    }

    #[test]
    fn channel_leaves_only_after_its_grace_and_only_if_still_unwanted() {
        let (mut routes, now) = (Routes::new(GRACE), Instant::now());
        look(&mut routes, 0, &[TOPIC], now);
        routes.confirmed("c");
        look(&mut routes, 0, &[], now);
        assert!(routes.expire(now + GRACE / 2, 10).is_empty());
        look(&mut routes, 0, &[TOPIC], now + GRACE / 2);
        assert!(routes.expire(now + GRACE, 10).is_empty());
        look(&mut routes, 0, &[], now + GRACE);
        look(&mut routes, 0, &[], now + GRACE + GRACE / 2);
        assert_eq!(routes.next_expiry(), Some(now + GRACE * 2));
        assert_eq!(routes.expire(now + GRACE * 2, 10).len(), 1);
        assert!(routes.get("c").is_none());
    }

    #[test]
    fn everything_wanted_is_asked_for_again_after_the_link_broke() {
        let (mut routes, now) = (Routes::new(GRACE), Instant::now());
        look(&mut routes, 0, &[TOPIC], now);
        routes.confirmed("c");
        routes.unlinked();
        assert_eq!(routes.ask_for_all().len(), 1);
        assert!(routes.ask_for_all().is_empty());
        assert!(routes.confirmed("c").is_some());
        assert!(routes.confirmed("c").is_none());
    }

    #[test]
    fn shard_set_holds_the_first_and_the_last_shard() {
        let mut set = ShardSet::default();
        set.set(ShardId(0), true);
        set.set(ShardId(127), true);
        assert_eq!(set.iter().collect::<Vec<_>>(), [ShardId(0), ShardId(127)]);
        set.set(ShardId(0), false);
        set.set(ShardId(127), false);
        assert!(set.is_empty());
    }
}
