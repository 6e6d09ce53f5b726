//! What the shards' maps say together: the channels with most to do, and who is in one of them.
//!
//! Operators ask for it, and nobody else: a shard pays for it with a lock that it has to wait for
//! now and then, never with a task of its own.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use womack_engine::{ChannelsReader, Load, TopicLoad};

use crate::near::{Difference, difference};

/// Channels that a survey names, by subscribers and by messages together at most twice as many.
const NAMED: usize = 50;
/// Channels that each shard proposes for either list. A channel that is among the first of all
/// shards together is among the first of one, unless very many are alike.
const PROPOSED: usize = 4 * NAMED;
/// How old a survey may be that is shown to somebody else.
const FRESH: Duration = Duration::from_millis(500);
/// Names like another that are told.
const ALIKE: usize = 10;

/// Surveys the shards' maps. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Surveyor {
    readers: Arc<OnceLock<Vec<ChannelsReader>>>,
    latest: Arc<Mutex<Option<Arc<Survey>>>>,
}

/// The channels with most to do.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) at: Instant,
    /// How many channels there are, each counted once in each shard that has it.
    pub(crate) channels: usize,
    pub(crate) busiest: Vec<ChannelLoad>,
}

/// How much one Redis channel has to do in this process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ChannelLoad {
    pub(crate) redis_channel: Arc<str>,
    pub(crate) load: Load,
}

/// A channel with subscribers whose name is nearly the one that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Alike {
    pub(crate) redis_channel: Arc<str>,
    pub(crate) difference: Difference,
}

impl Surveyor {
    /// All shards have started; these are the reading halves of their maps.
    pub(crate) fn begin(&self, readers: Vec<ChannelsReader>) {
        // It is called once, when the server starts.
        drop(self.readers.set(readers));
    }

    /// The channels with most to do, as they are now or were a moment ago. Goes through all
    /// channels, so it is no work for a shard's thread.
    pub(crate) fn survey(&self) -> Arc<Survey> {
        // Whoever comes meanwhile waits here and gets the same.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = latest.as_ref().filter(|survey| survey.at.elapsed() < FRESH);
        if let Some(survey) = fresh {
            return survey.clone();
        }
        let survey = Arc::new(survey(self.readers()));
        *latest = Some(survey.clone());
        survey
    }

    /// The topics of a Redis channel, shard by shard.
    pub(crate) fn topics(&self, redis_channel: &str) -> Vec<Vec<TopicLoad>> {
        let readers = self.readers().iter();
        readers.map(|reader| reader.loads(redis_channel)).collect()
    }

    /// What a Redis channel has to do.
    pub(crate) fn load(&self, redis_channel: &str) -> Load {
        total(self.readers(), redis_channel)
    }

    /// Channels with subscribers whose name is nearly `redis_channel`. Goes through all channels,
    /// so it is no work for a shard's thread.
    pub(crate) fn alike(&self, redis_channel: &str, keys: &[&str]) -> Vec<Alike> {
        let mut found: Vec<Alike> = Vec::new();
        for reader in self.readers() {
            reader.for_each_channel(|wanted, _| {
                let known = found.iter().any(|alike| alike.redis_channel == *wanted);
                if known || found.len() >= ALIKE {
                    return;
                }
                if let Some(difference) = difference(redis_channel, wanted, keys) {
                    found.push(Alike {
                        redis_channel: wanted.clone(),
                        difference,
                    });
                }
            });
        }
        found
    }

    fn readers(&self) -> &[ChannelsReader] {
        self.readers.get().map_or(&[], Vec::as_slice)
    }
}

fn survey(readers: &[ChannelsReader]) -> Survey {
    let mut channels = 0;
    let mut proposed: Vec<Arc<str>> = Vec::new();
    for reader in readers {
        let (mut crowded, mut busy) = (First::new(PROPOSED), First::new(PROPOSED));
        reader.for_each_channel(|channel, load| {
            channels += 1;
            crowded.offer(load.subscribers, channel);
            busy.offer(load.messages.into(), channel);
        });
        proposed.extend(crowded.names().chain(busy.names()));
    }
    proposed.sort_unstable();
    proposed.dedup();
    // Looked at again one by one: no lock of one shard's map is held while another's is taken.
    let loads = proposed.into_iter().map(|redis_channel| ChannelLoad {
        load: total(readers, &redis_channel),
        redis_channel,
    });
    let mut busiest: Vec<_> = loads.filter(|found| found.load.subscribers > 0).collect();
    busiest.sort_unstable_by_key(|found| Reverse(found.load.messages));
    let mut rest = busiest.split_off(NAMED.min(busiest.len()));
    rest.sort_unstable_by_key(|found| Reverse(found.load.subscribers));
    busiest.extend(rest.into_iter().take(NAMED));
    busiest.sort_unstable_by(|a, b| {
        let crowded = b.load.subscribers.cmp(&a.load.subscribers);
        crowded.then_with(|| a.redis_channel.cmp(&b.redis_channel))
    });
    Survey {
        at: Instant::now(),
        channels,
        busiest,
    }
}

/// What a channel has to do in all shards.
fn total(readers: &[ChannelsReader], redis_channel: &str) -> Load {
    let loads = readers
        .iter()
        .flat_map(|reader| reader.loads(redis_channel));
    loads.map(|found| found.load).sum()
}

/// The channels with the largest numbers, so many of them at most.
struct First {
    most: usize,
    heap: BinaryHeap<Reverse<(u64, Arc<str>)>>,
}

impl First {
    fn new(most: usize) -> Self {
        Self {
            most,
            heap: BinaryHeap::new(),
        }
    }

    fn offer(&mut self, number: u64, channel: &Arc<str>) {
        let full = self.heap.len() >= self.most;
        let least = self.heap.peek().map_or(0, |Reverse((least, _))| *least);
        if full && number <= least {
            return;
        }
        if full {
            self.heap.pop();
        }
        self.heap.push(Reverse((number, channel.clone())));
    }

    fn names(self) -> impl Iterator<Item = Arc<str>> {
        self.heap.into_iter().map(|Reverse((_, channel))| channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_numbers_stay() {
        let mut first = First::new(2);
        for (number, name) in [(3, "c"), (1, "a"), (2, "b"), (0, "zero")] {
            first.offer(number, &name.into());
        }
        let mut names: Vec<_> = first.names().collect();
        names.sort_unstable();
        assert_eq!(names, ["b".into(), "c".into()] as [Arc<str>; 2]);
    }

    #[test]
    fn before_the_shards_have_started_there_is_nothing() {
        let surveyor = Surveyor::default();
        let survey = surveyor.survey();
        assert_eq!((survey.channels, survey.busiest.len()), (0, 0));
        assert!(surveyor.topics("k:a").is_empty());
        assert!(surveyor.alike("k:a", &["k"]).is_empty());
    }
}
