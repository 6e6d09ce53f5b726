//! Who is in a topic: a dense list, in which joining and leaving take the same time however long it
//! is.

use std::slice::SliceIndex;

use crate::sid::ConnectionId;

/// A connection in a topic. The two numbers find each other: the connection's membership holds
/// the place in this list, and this holds the place in the connection's list of memberships.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Subscriber {
    pub(crate) connection: ConnectionId,
    pub(crate) membership: u32,
}

/// Stands where somebody has left.
const GAP: Subscriber = Subscriber {
    connection: ConnectionId(u32::MAX),
    membership: u32::MAX,
};

/// The subscribers of a topic.
#[derive(Default)]
pub(in crate::shard) struct Subscribers {
    list: Vec<Subscriber>,
    /// Whether places stay as they are: who leaves then leaves a gap.
    held: bool,
    gaps: u32,
}

impl Subscribers {
    /// Adds one. Returns its place.
    pub(in crate::shard) fn add(&mut self, subscriber: Subscriber) -> u32 {
        let place = u32::try_from(self.list.len()).expect("subscribers have u32 numbers");
        self.list.push(subscriber);
        place
    }

    /// Takes away the one at `place`. Returns who has its place now.
    pub(in crate::shard) fn remove(&mut self, place: u32) -> Option<Subscriber> {
        let place = place as usize;
        if place >= self.list.len() {
            return None;
        }
        if self.held {
            self.list[place] = GAP;
            self.gaps += 1;
            return None;
        }
        self.list.swap_remove(place);
        if self.list.len() < self.list.capacity() / 4 {
            self.list.shrink_to(self.list.len() * 2);
        }
        self.list.get(place).copied()
    }

    /// Notes, for the one at `place`, where its membership now stands.
    pub(in crate::shard) fn set_membership(&mut self, place: u32, membership: u32) {
        if let Some(subscriber) = self.list.get_mut(place as usize) {
            subscriber.membership = membership;
        }
    }

    /// Keeps all where they are. Returns how many places there are.
    pub(in crate::shard) const fn hold(&mut self) -> usize {
        self.held = true;
        self.list.len()
    }

    /// Lets those that come last take the places of those that leave. There must be no gaps.
    pub(in crate::shard) const fn release(&mut self) {
        self.held = false;
    }

    /// Moves subscribers into the gaps. Returns who moved, and where to.
    pub(in crate::shard) fn close_gaps(&mut self) -> Vec<(u32, Subscriber)> {
        let (mut moved, mut place) = (Vec::new(), 0);
        while self.gaps > 0 && place < self.list.len() {
            if self.list[place] != GAP {
                place += 1;
                continue;
            }
            self.gaps -= 1;
            self.list.swap_remove(place);
            match self.list.get(place) {
                Some(subscriber) if *subscriber != GAP => moved.push((place as u32, *subscriber)),
                _ => {}
            }
        }
        moved
    }

    /// How many there are.
    pub(in crate::shard) fn count(&self) -> usize {
        self.list.len() - self.gaps as usize
    }

    /// Every place, gaps too, of which there are none unless places are held.
    pub(in crate::shard) fn all(&self) -> &[Subscriber] {
        &self.list
    }

    /// Whether places stay as they are.
    pub(in crate::shard) const fn are_held(&self) -> bool {
        self.held
    }

    /// The connections at some places.
    pub(in crate::shard) fn at(
        &self,
        places: impl SliceIndex<[Subscriber], Output = [Subscriber]>,
    ) -> impl Iterator<Item = ConnectionId> {
        let subscribers = self.list.get(places).unwrap_or_default().iter();
        let there = subscribers.filter(|subscriber| **subscriber != GAP);
        there.map(|subscriber| subscriber.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(connection: u32) -> Subscriber {
        Subscriber {
            connection: ConnectionId(connection),
            membership: 0,
        }
    }

    #[test]
    fn a_list_that_was_long_gives_its_memory_back() {
        let mut subscribers = Subscribers::default();
        for connection in 0..1000 {
            subscribers.add(subscriber(connection));
        }
        for place in (10..1000).rev() {
            assert_eq!(subscribers.remove(place), None, "the last has no follower");
        }
        assert!(subscribers.list.capacity() < 100);
        assert_eq!(subscribers.remove(3), Some(subscriber(9)));
        assert_eq!(subscribers.remove(99), None);
        assert_eq!(subscribers.count(), 9);
    }

    #[test]
    fn places_that_are_held_keep_their_connections_until_gaps_are_closed() {
        let mut subscribers = Subscribers::default();
        for connection in 0..4 {
            subscribers.add(subscriber(connection));
        }
        assert_eq!(subscribers.hold(), 4);
        for place in [0, 3] {
            assert_eq!(subscribers.remove(place), None);
        }
        assert_eq!((subscribers.count(), subscribers.all().len()), (2, 4));
        assert!(subscribers.at(1..4).eq([1, 2].map(ConnectionId)));
        assert_eq!(subscribers.at(4..9).next(), None);
        assert_eq!(subscribers.close_gaps(), [(0, subscriber(2))]);
        assert!(subscribers.at(..).eq([2, 1].map(ConnectionId)));
    }
}
