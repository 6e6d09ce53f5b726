//! How the slots of a cluster lie, and who is master of whom.

use std::collections::BTreeSet;

pub(super) use womack_redis::simulation::slot;

use super::answers::Answers;
use crate::network::host_of;

/// Masters, each of which has one replica.
pub(super) const PAIRS: usize = 3;
/// Slots of every cluster.
const SLOTS: usize = 16_384;
/// The port of every server.
const PORT: u64 = 6379;

/// How the slots lie. All servers know it at once.
pub(super) struct Cluster {
    /// The pair that has each slot.
    slots: Vec<usize>,
    /// Of each pair the master and the replica.
    pairs: [[usize; 2]; PAIRS],
    /// Servers that have stopped.
    down: BTreeSet<usize>,
    /// Pairs that have had a slot, for slots that were moved.
    moved: Vec<(u16, usize)>,
}

/// The cluster as one of its servers sees it.
pub(super) struct View<'a> {
    cluster: &'a Cluster,
    server: usize,
}

impl Cluster {
    /// The first servers are masters, the others their replicas, and each master has a third of the
    /// slots.
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|slot| slot * PAIRS / SLOTS).collect(),
            pairs: std::array::from_fn(|pair| [pair, pair + PAIRS]),
            down: BTreeSet::new(),
            moved: Vec::new(),
        }
    }

    pub(super) const fn view(&self, server: usize) -> View<'_> {
        View {
            cluster: self,
            server,
        }
    }

    pub(super) fn masters(&self) -> Vec<usize> {
        self.pairs.iter().map(|[master, _]| *master).collect()
    }

    pub(super) fn is_down(&self, server: usize) -> bool {
        self.down.contains(&server)
    }

    fn pair_of_slot(&self, slot: u16) -> usize {
        self.slots[usize::from(slot)]
    }

    /// The master that has the slot of a channel.
    pub(super) fn owner(&self, channel: &str) -> usize {
        self.pairs[self.pair_of_slot(slot(channel))][0]
    }

    pub(super) fn homes(&self, channel: &str) -> BTreeSet<usize> {
        let slot = slot(channel);
        let moved = self.moved.iter().filter(|(moved, _)| *moved == slot);
        let pairs = moved
            .map(|(_, pair)| *pair)
            .chain([self.pair_of_slot(slot)]);
        pairs.flat_map(|pair| self.pairs[pair]).collect()
    }

    /// The master and the replica of a pair change places. Returns the former master and the new
    /// one.
    pub(super) fn swap(&mut self, pair: usize) -> Option<(usize, usize)> {
        if self.pairs[pair].iter().any(|server| self.is_down(*server)) {
            return None;
        }
        self.pairs[pair].reverse();
        let [new, old] = self.pairs[pair];
        Some((old, new))
    }

    pub(super) fn stop_master(&mut self, pair: usize) -> Option<usize> {
        if self.pairs[pair].iter().any(|server| self.is_down(*server)) {
            return None;
        }
        let [master, _] = self.pairs[pair];
        self.down.insert(master);
        Some(master)
    }

    /// The replica takes the place of a master that is down. Returns the former master and the new
    /// one.
    pub(super) fn replace_master(&mut self, pair: usize) -> Option<(usize, usize)> {
        let [master, replica] = self.pairs[pair];
        if !self.is_down(master) || self.is_down(replica) {
            return None;
        }
        self.pairs[pair] = [replica, master];
        Some((master, replica))
    }

    pub(super) fn set_up(&mut self, server: usize) {
        self.down.remove(&server);
    }

    /// The slot of a channel goes to another pair. Returns the slot, and its former master and the
    /// new one.
    pub(super) fn move_slot(&mut self, channel: &str, to: usize) -> Option<(u16, [usize; 2])> {
        let slot = slot(channel);
        let from = self.pair_of_slot(slot);
        let masters = [from, to].map(|pair| self.pairs[pair][0]);
        if from == to || masters.iter().any(|master| self.is_down(*master)) {
            return None;
        }
        self.moved.push((slot, from));
        self.slots[usize::from(slot)] = to;
        Some((slot, masters))
    }

    /// First and last slot of each range, with its pair.
    fn ranges(&self) -> Vec<(usize, usize, usize)> {
        let mut ranges: Vec<(usize, usize, usize)> = Vec::new();
        for (slot, &pair) in self.slots.iter().enumerate() {
            match ranges.last_mut() {
                Some((_, last, of)) if *of == pair => *last = slot,
                _ => ranges.push((slot, slot, pair)),
            }
        }
        ranges
    }
}

impl View<'_> {
    /// The error with which the server answers to a request for shard channels; `None` if it has
    /// them.
    pub(super) fn refusal(&self, channels: &[String]) -> Option<String> {
        let slot = slot(channels.first()?);
        if channels.iter().any(|channel| self::slot(channel) != slot) {
            let text = "CROSSSLOT Keys in request don't hash to the same slot";
            return Some(text.to_owned());
        }
        let [owner, _] = self.cluster.pairs[self.cluster.pair_of_slot(slot)];
        if owner != self.server {
            return Some(format!("MOVED {slot} {}:{PORT}", host_of(owner)));
        }
        let some_are_down = self
            .cluster
            .masters()
            .iter()
            .any(|it| self.cluster.is_down(*it));
        some_are_down.then(|| "CLUSTERDOWN The cluster is down".to_owned())
    }

    /// The answer to `CLUSTER SLOTS`.
    pub(super) fn tell_slots(&self, answers: &mut Answers) {
        let ranges = self.cluster.ranges();
        answers.array(ranges.len());
        for (first, last, pair) in ranges {
            answers.array(4);
            answers.number(first as u64);
            answers.number(last as u64);
            for server in self.cluster.pairs[pair] {
                answers.array(3);
                answers.bulk(&host_of(server));
                answers.number(PORT);
                answers.bulk(&format!("{server:040}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_of_the_masters_and_a_moved_one_another() {
        let mut cluster = Cluster::new();
        assert_eq!(
            cluster.ranges(),
            [(0, 5461, 0), (5462, 10922, 1), (10923, 16383, 2)]
        );
        // `foo` has slot 12182.
        assert_eq!(cluster.owner("foo"), 2);
        assert_eq!(cluster.move_slot("foo", 2), None);
        assert_eq!(cluster.move_slot("foo", 0), Some((12_182, [2, 0])));
        assert_eq!(cluster.owner("foo"), 0);
        assert_eq!(cluster.homes("foo"), BTreeSet::from([0, 3, 2, 5]));
        assert_eq!(cluster.ranges().len(), 5);
    }

    #[test]
    fn a_replica_takes_the_place_of_its_master_only() {
        let mut cluster = Cluster::new();
        assert_eq!(cluster.replace_master(1), None);
        assert_eq!(cluster.stop_master(1), Some(1));
        assert_eq!(cluster.swap(1), None);
        assert_eq!(cluster.replace_master(1), Some((1, 4)));
        assert_eq!(cluster.masters(), [0, 4, 2]);
    }

    #[test]
    fn shard_channels_are_asked_for_at_their_owner() {
        let mut cluster = Cluster::new();
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(cluster.view(2).refusal(&names(&["foo"])), None);
        let moved = cluster.view(0).refusal(&names(&["foo"]));
        assert_eq!(moved.as_deref(), Some("MOVED 12182 redis-2:6379"));
        let crossed = cluster.view(2).refusal(&names(&["foo", "bar"]));
        assert!(crossed.is_some_and(|text| text.starts_with("CROSSSLOT")));
        cluster.stop_master(0);
        let down = cluster.view(2).refusal(&names(&["foo"]));
        assert!(down.is_some_and(|text| text.starts_with("CLUSTERDOWN")));
    }
}
