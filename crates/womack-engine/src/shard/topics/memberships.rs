//! The channels that one client is in.

use std::{collections::HashMap, sync::Arc};

use ahash::RandomState;
use smallvec::SmallVec;
use womack_proto::NamespaceId;

use crate::encoding::{Encoding, Topic};

/// From this many on, a client's channels are found by an index; below, looking through them is
/// quicker and costs no memory.
const INDEXED_FROM: usize = 32;

/// A client's place in one topic.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) channel: Arc<str>,
    pub(crate) topic: Topic,
    /// The client's place in the topic's list of subscribers.
    pub(crate) place: u32,
}

/// The channels that one client is in.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    list: SmallVec<[Membership; 1]>,
    index: Option<Box<Index>>,
}

type Index = HashMap<(Arc<str>, Topic), u32, RandomState>;

impl Memberships {
    /// The number that the next membership will have.
    pub(crate) fn next(&self) -> u32 {
        u32::try_from(self.list.len()).expect("memberships are limited far below 2^32")
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn push(&mut self, membership: Membership) {
        let number = self.next();
        if let Some(index) = &mut self.index {
            index.insert((membership.channel.clone(), membership.topic), number);
        }
        self.list.push(membership);
        if self.index.is_none() && self.list.len() >= INDEXED_FROM {
            let entries = (0..).zip(&self.list);
            let index = entries.map(|(at, found)| ((found.channel.clone(), found.topic), at));
            self.index = Some(Box::new(index.collect()));
        }
    }

    /// The membership in `channel` of a namespace, whichever of `encodings` its topic has: its
    /// number and the topic.
    pub(crate) fn find_any(
        &self,
        channel: &Arc<str>,
        namespace: NamespaceId,
        encodings: &[Encoding],
    ) -> Option<(u32, Topic)> {
        encodings.iter().find_map(|&encoding| {
            let topic = Topic {
                namespace,
                encoding,
            };
            self.find(channel, topic).map(|number| (number, topic))
        })
    }

    fn find(&self, channel: &Arc<str>, topic: Topic) -> Option<u32> {
        if let Some(index) = &self.index {
            return index.get(&(channel.clone(), topic)).copied();
        }
        let at = self
            .list
            .iter()
            .position(|found| found.topic == topic && found.channel == *channel);
        at.and_then(|at| u32::try_from(at).ok())
    }

    /// Takes a membership out. Its number goes to the one that was last, which is returned too
    /// if there was another.
    pub(crate) fn remove(&mut self, number: u32) -> (Membership, Option<&Membership>) {
        let removed = self.list.swap_remove(number as usize);
        let moved = self.list.get(number as usize);
        if let Some(index) = &mut self.index {
            index.remove(&(removed.channel.clone(), removed.topic));
            if let Some(moved) = moved {
                index.insert((moved.channel.clone(), moved.topic), number);
            }
        }
        if self.list.len() < INDEXED_FROM / 2 {
            self.index = None;
        }
        (removed, moved)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Membership> {
        self.list.get_mut(number as usize)
    }

    /// The channels of a namespace.
    pub(crate) fn channels_in(&self, namespace: NamespaceId) -> Vec<Arc<str>> {
        let found = self.iter();
        let found = found.filter(|found| found.topic.namespace == namespace);
        found.map(|found| found.channel.clone()).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Membership> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Topic = Topic::modern(0);

    #[test]
    fn memberships_are_found_whether_few_or_many() {
        let mut memberships = Memberships::default();
        for count in 0..100_u32 {
            assert_eq!(memberships.next(), count);
            let channel = count.to_string().into();
            memberships.push(Membership {
                channel,
                topic: TOPIC,
                place: count,
            });
        }
        for count in (0..100_u32).filter(|count| count % 7 != 0) {
            let number = memberships.find(&count.to_string().into(), TOPIC).unwrap();
            let (removed, _) = memberships.remove(number);
            assert_eq!(removed.place, count);
        }
        assert_eq!(memberships.iter().count(), 15);
        for count in 0..100_u32 {
            let number = memberships.find(&count.to_string().into(), TOPIC);
            let place = number
                .and_then(|number| memberships.list.get(number as usize))
                .map(|found| found.place);
            assert_eq!(place, (count % 7 == 0).then_some(count));
        }
    }

    #[test]
    fn a_channel_is_found_whatever_its_encoding() {
        let mut memberships = Memberships::default();
        let channel: Arc<str> = "a".into();
        let topic = Topic {
            namespace: NamespaceId(1),
            encoding: Encoding::Juggernaut,
        };
        memberships.push(Membership {
            channel: channel.clone(),
            topic,
            place: 0,
        });
        let both = [Encoding::Legacy, Encoding::Juggernaut];
        for (namespace, encodings, expected) in [
            (1, &both[..], Some((0, topic))),
            (1, &both[..1], None),
            (0, &both[..], None),
        ] {
            let found = memberships.find_any(&channel, NamespaceId(namespace), encodings);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn removing_tells_which_membership_took_the_number() {
        let mut memberships = Memberships::default();
        for name in ["a", "b"] {
            memberships.push(Membership {
                channel: name.into(),
                topic: TOPIC,
                place: 0,
            });
        }
        let (removed, moved) = memberships.remove(0);
        assert_eq!(
            (&*removed.channel, moved.map(|moved| &*moved.channel)),
            ("a", Some("b"))
        );
        assert!(memberships.remove(0).1.is_none());
    }
}
