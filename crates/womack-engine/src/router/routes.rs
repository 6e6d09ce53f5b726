//! The router's own table: which shards want which topics of a Redis channel.
//!
//! It is derived from the shards' maps, which are what is desired, and says what Redis has been
//! asked for. Looking at a channel twice, late, or once for several reasons does no harm.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::RandomState;
use indexmap::IndexMap;
use smallvec::SmallVec;
use womack_ledger::{Charge, Ledger, ROUTE_BYTES, ShardId};
use womack_proto::subscriber::{Epoch, Generation};

use super::refusals::Refusals;
use crate::{
    command::{Interest, Interests},
    encoding::Topic,
};

/// Where the messages of each Redis channel go.
pub(crate) struct Routes {
    /// Iterated by insertion and not by hash, so that a simulation repeats the order in which lost
    /// channels are requested again.
    channels: IndexMap<Arc<str>, Route, RandomState>,
    /// Channels that nobody wanted at some time, each once.
    leaving: VecDeque<(Instant, Arc<str>)>,
    ledger: Ledger,
    grace: Duration,
    /// The last request that was made.
    generation: Generation,
    refusals: Refusals,
}

/// What the router knows of one Redis channel.
pub(crate) struct Route {
    /// Who gets its messages.
    pub(crate) topics: SmallVec<[TopicRoute; 1]>,
    state: State,
    /// Since when nobody wants it.
    unwanted_since: Option<Instant>,
    /// Whether it is among those that nobody wanted at some time.
    is_leaving: bool,
    charge: Charge,
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
    /// Nothing is requested of Redis: the channel is new here, or was refused.
    Idle,
    /// Redis is requested, and has not answered.
    Requested(Generation),
    /// Redis has confirmed the request, over this connection.
    Live(Epoch),
}

/// The consequence of a look at a channel.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) enum RouteChange {
    /// None.
    #[default]
    Unchanged,
    /// The channel is to be requested of Redis.
    Subscribe(Generation),
    /// The channel is live: the shard's pending acknowledgements can be answered.
    Live(Epoch),
    /// Redis has refused the channel a short while ago.
    Refused,
}

/// The channels of a loss, by whether anybody wants them.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Lost {
    /// Channels that somebody wants: they count as requested anew from here on.
    pub(crate) wanted: Vec<(Arc<str>, Generation)>,
    /// Channels that nobody wanted any more, which are forgotten.
    pub(crate) unwanted: Vec<Arc<str>>,
}

impl Routes {
    /// `grace` is how long a channel that nobody wants stays subscribed. Channels are charged to
    /// `ledger`.
    pub(crate) fn new(grace: Duration, ledger: &Ledger) -> Self {
        Self {
            ledger: ledger.clone(),
            channels: IndexMap::default(),
            leaving: VecDeque::new(),
            grace,
            generation: Generation::default(),
            refusals: Refusals::new(ledger),
        }
    }

    /// Where messages on `channel` go.
    pub(crate) fn get(&self, channel: &str) -> Option<(&Arc<str>, &Route)> {
        self.channels.get_key_value(channel)
    }

    /// Notes that `shard` now wants `interests` of `channel`, and no other.
    pub(crate) fn reconcile(
        &mut self,
        shard: ShardId,
        channel: &Arc<str>,
        interests: &Interests,
        prefix: impl Fn(Topic) -> Box<[u8]>,
        now: Instant,
    ) -> RouteChange {
        if interests.is_empty() && !self.channels.contains_key(channel) {
            return RouteChange::Unchanged;
        }
        let is_refused = self.refusals.contains(channel, now);
        let route = self
            .channels
            .entry(channel.clone())
            .or_insert_with(|| Route {
                topics: SmallVec::new(),
                state: State::Idle,
                unwanted_since: None,
                is_leaving: false,
                charge: self.ledger.hold(0),
            });
        route.set_interests(shard, interests, prefix);
        route.settle_charge(channel);
        if route.topics.is_empty() {
            if route.state == State::Idle {
                self.channels.swap_remove(channel);
            } else if route.unwanted_since.is_none() {
                route.unwanted_since = Some(now);
                if !route.is_leaving {
                    route.is_leaving = true;
                    self.leaving.push_back((now, channel.clone()));
                }
            }
            return RouteChange::Unchanged;
        }
        route.unwanted_since = None;
        if interests.is_empty() {
            return RouteChange::Unchanged;
        }
        match route.state {
            State::Idle if is_refused => RouteChange::Refused,
            State::Idle => {
                self.generation = self.generation.next();
                route.state = State::Requested(self.generation);
                RouteChange::Subscribe(self.generation)
            }
            State::Requested(_) => RouteChange::Unchanged,
            State::Live(epoch) => RouteChange::Live(epoch),
        }
    }

    /// Redis has confirmed the request `generation` for `channel`. False if a later one was made,
    /// or the channel given up: the answer is to nobody then.
    pub(crate) fn confirmed(
        &mut self,
        channel: &str,
        generation: Generation,
        epoch: Epoch,
    ) -> bool {
        self.answered(channel, generation, State::Live(epoch))
    }

    /// Redis has refused the request `generation` for `channel`. False as for
    /// [`Routes::confirmed`].
    pub(crate) fn refused(
        &mut self,
        channel: &Arc<str>,
        generation: Generation,
        now: Instant,
    ) -> bool {
        let is_newest = self.answered(channel, generation, State::Idle);
        if is_newest {
            self.refusals.add(channel, now);
            let route = self.channels.get(channel);
            if route.is_some_and(|route| route.topics.is_empty()) {
                self.channels.swap_remove(channel);
            }
        }
        is_newest
    }

    fn answered(&mut self, channel: &str, generation: Generation, state: State) -> bool {
        let route = self.channels.get_mut(channel);
        let route = route.filter(|route| route.state == State::Requested(generation));
        route.is_some_and(|route| {
            route.state = state;
            true
        })
    }

    /// A connection is gone, and everything with it that was confirmed over it.
    pub(crate) fn lost_connection(&mut self, epoch: Epoch) -> Lost {
        let live = self.channels.iter();
        let live = live.filter(|(_, route)| route.state == State::Live(epoch));
        let channels: Vec<_> = live.map(|(channel, _)| channel.clone()).collect();
        self.lost_channels(epoch, channels)
    }

    /// Of these channels, those that were confirmed over this connection are lost.
    pub(crate) fn lost_channels(&mut self, epoch: Epoch, channels: Vec<Arc<str>>) -> Lost {
        let mut lost = Lost::default();
        for channel in channels {
            let route = self.channels.get_mut(&channel);
            let Some(route) = route.filter(|route| route.state == State::Live(epoch)) else {
                continue;
            };
            if route.topics.is_empty() {
                self.channels.swap_remove(&channel);
                lost.unwanted.push(channel);
            } else {
                self.generation = self.generation.next();
                route.state = State::Requested(self.generation);
                lost.wanted.push((channel, self.generation));
            }
        }
        lost
    }

    /// Every channel that is live.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<str>> {
        let live = self.channels.iter();
        let live = live.filter(|(_, route)| matches!(route.state, State::Live(_)));
        live.map(|(channel, _)| channel)
    }

    /// Every channel that is wanted, or that Redis was asked for.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
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
            let Some((_, channel)) = self.leaving.pop_front() else {
                break;
            };
            let Some(route) = self.channels.get_mut(&channel) else {
                continue;
            };
            match route.unwanted_since {
                Some(unwanted) if now >= unwanted + self.grace => {
                    self.channels.swap_remove(&channel);
                    expired.push(channel);
                }
                // It was wanted meanwhile. Behind the others it may be late, by another grace time.
                Some(unwanted) => self.leaving.push_back((unwanted, channel)),
                None => route.is_leaving = false,
            }
        }
        expired
    }

    /// When [`Routes::expire`] next has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.leaving.front().map(|(since, _)| *since + self.grace)
    }
}

impl Route {
    /// Notes that `shard` now wants `interests`, and no other.
    fn set_interests(
        &mut self,
        shard: ShardId,
        interests: &Interests,
        prefix: impl Fn(Topic) -> Box<[u8]>,
    ) {
        let wants = |topic| interests.iter().any(|interest| interest.topic == topic);
        for known in &mut self.topics {
            known.shards.set(shard, wants(known.topic));
        }
        for &Interest { topic, .. } in interests {
            if !self.topics.iter().any(|known| known.topic == topic) {
                let mut shards = ShardSet::default();
                shards.set(shard, true);
                self.topics.push(TopicRoute {
                    topic,
                    prefix: prefix(topic),
                    shards,
                });
            }
        }
        self.topics.retain(|known| !known.shards.is_empty());
    }

    /// Charges what the channel takes now: here, in the link to Redis, and for the frames of its
    /// messages.
    fn settle_charge(&mut self, channel: &str) {
        let topics = self.topics.iter();
        let topics = topics.map(|known| size_of::<TopicRoute>() + known.prefix.len());
        self.charge
            .set(ROUTE_BYTES + channel.len() + topics.sum::<usize>());
    }

    /// Whether Redis has confirmed it.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.state, State::Live(_))
    }

    /// The shards that want any of its topics.
    pub(crate) fn shards(&self) -> ShardSet {
        let sets = self.topics.iter().map(|known| known.shards.0);
        ShardSet(sets.fold(0, |all, set| all | set))
    }
}

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ShardSet(u128);

impl ShardSet {
    /// Notes whether a shard is in the set.
    pub fn set(&mut self, shard: ShardId, present: bool) {
        let bit = 1 << shard.0;
        if present {
            self.0 |= bit;
        } else {
            self.0 &= !bit;
        }
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The shards, in their order.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
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
mod tests;
