//! Acknowledgements that wait until Redis has confirmed the channels that they speak of.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::RandomState;
use slab::Slab;
use smallvec::SmallVec;
use womack_proto::NamespaceId;

use crate::command::Topic;

/// An acknowledgement, and what it waits for.
pub(crate) struct Waiting {
    pub(crate) connection: u32,
    /// Tells the connection from a later one in the same slot.
    pub(crate) secret: u64,
    pub(crate) namespace: NamespaceId,
    pub(crate) ack: u64,
    /// What it says when all channels are live.
    pub(crate) live: String,
    /// What it says when they are not in time.
    pub(crate) unavailable: String,
    /// Channels that the request brought and that are left again when it fails.
    pub(crate) new: Vec<Arc<str>>,
    /// Channels that are not live yet.
    missing: usize,
    topics: Vec<(Arc<str>, Topic)>,
}

/// All acknowledgements of a shard that wait.
pub(crate) struct Acks {
    waiting: Slab<(u64, Waiting)>,
    by_topic: HashMap<(Arc<str>, Topic), SmallVec<[Ticket; 1]>, RandomState>,
    /// In the order in which they end, since all wait equally long.
    deadlines: VecDeque<(Instant, Ticket)>,
    patience: Duration,
    serial: u64,
}

/// Names one acknowledgement; a later one in the same place has another serial number.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Ticket {
    place: usize,
    serial: u64,
}

impl Acks {
    /// `patience` is how long an acknowledgement waits.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            waiting: Slab::new(),
            by_topic: HashMap::default(),
            deadlines: VecDeque::new(),
            patience,
            serial: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps an acknowledgement until all of `topics` are live.
    pub(crate) fn wait(
        &mut self,
        mut waiting: Waiting,
        topics: Vec<(Arc<str>, Topic)>,
        now: Instant,
    ) {
        self.serial += 1;
        waiting.missing = topics.len();
        waiting.topics = topics;
        let entry = self.waiting.vacant_entry();
        let ticket = Ticket {
            place: entry.key(),
            serial: self.serial,
        };
        for topic in &waiting.topics {
            self.by_topic.entry(topic.clone()).or_default().push(ticket);
        }
        entry.insert((self.serial, waiting));
        self.deadlines.push_back((now + self.patience, ticket));
    }

    /// A topic is live: moves the acknowledgements that waited for nothing else to `ready`.
    pub(crate) fn live(&mut self, channel: &Arc<str>, topic: Topic, ready: &mut Vec<Waiting>) {
        let Some(tickets) = self.by_topic.remove(&(channel.clone(), topic)) else {
            return;
        };
        for ticket in tickets {
            let Some((serial, waiting)) = self.waiting.get_mut(ticket.place) else {
                continue;
            };
            if *serial != ticket.serial {
                continue;
            }
            waiting.missing -= 1;
            if waiting.missing == 0 {
                ready.push(self.waiting.remove(ticket.place).1);
            }
        }
    }

    /// The topics that somebody waits for.
    pub(crate) fn topics(&self) -> Vec<(Arc<str>, Topic)> {
        self.by_topic.keys().cloned().collect()
    }

    /// Moves the acknowledgements that have waited too long to `late`.
    pub(crate) fn expire(&mut self, now: Instant, late: &mut Vec<Waiting>) {
        while self
            .deadlines
            .front()
            .is_some_and(|(deadline, _)| *deadline <= now)
        {
            let Some((_, ticket)) = self.deadlines.pop_front() else {
                return;
            };
            let found = self.waiting.get(ticket.place);
            if found.is_none_or(|(serial, _)| *serial != ticket.serial) {
                continue;
            }
            let (_, waiting) = self.waiting.remove(ticket.place);
            for topic in &waiting.topics {
                let Some(tickets) = self.by_topic.get_mut(topic) else {
                    continue;
                };
                tickets.retain(|found| *found != ticket);
                if tickets.is_empty() {
                    self.by_topic.remove(topic);
                }
            }
            late.push(waiting);
        }
    }

    /// When [`Acks::expire`] next has something to do.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }
}

impl Waiting {
    pub(crate) fn new(
        (connection, secret): (u32, u64),
        namespace: NamespaceId,
        ack: u64,
        (live, unavailable): (String, String),
        new: Vec<Arc<str>>,
    ) -> Self {
        Self {
            connection,
            secret,
            namespace,
            ack,
            live,
            unavailable,
            new,
            missing: 0,
            topics: Vec::new(),
        }
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
    const PATIENCE: Duration = Duration::from_secs(5);

    fn wait(acks: &mut Acks, ack: u64, channels: &[&str], now: Instant) {
        let texts = (String::new(), String::new());
        let waiting = Waiting::new((1, 2), NamespaceId(0), ack, texts, Vec::new());
        acks.wait(
            waiting,
            channels.iter().map(|&name| (name.into(), TOPIC)).collect(),
            now,
        );
    }

    fn live(acks: &mut Acks, channel: &str) -> Vec<u64> {
        let mut ready = Vec::new();
        acks.live(&channel.into(), TOPIC, &mut ready);
        ready.iter().map(|waiting| waiting.ack).collect()
    }

    #[test]
    fn acknowledgement_waits_for_its_last_channel() {
        let (mut acks, now) = (Acks::new(PATIENCE), Instant::now());
        wait(&mut acks, 1, &["a", "b"], now);
        wait(&mut acks, 2, &["a"], now);
        assert_eq!(live(&mut acks, "a"), [2]);
        assert!(live(&mut acks, "a").is_empty());
        assert_eq!(live(&mut acks, "b"), [1]);
        assert_eq!(acks.len(), 0);
    }

    #[test]
    fn patience_ends_and_a_late_confirmation_answers_nobody() {
        let (mut acks, now) = (Acks::new(PATIENCE), Instant::now());
        wait(&mut acks, 1, &["a", "b"], now);
        wait(&mut acks, 2, &["b"], now + PATIENCE / 2);
        let mut late = Vec::new();
        acks.expire(now + PATIENCE, &mut late);
        assert_eq!(
            late.iter().map(|waiting| waiting.ack).collect::<Vec<_>>(),
            [1]
        );
        wait(&mut acks, 3, &["c"], now + PATIENCE);
        assert!(live(&mut acks, "a").is_empty());
        assert_eq!(live(&mut acks, "b"), [2]);
        assert_eq!(live(&mut acks, "c"), [3]);
    }
}
