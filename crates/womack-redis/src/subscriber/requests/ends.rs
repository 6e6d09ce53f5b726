//! The ends of subscriptions, and their consequences.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use ahash::RandomState;
use womack_proto::subscriber::{Event, Loss, LossScope, Subscription};

use super::{
    super::batch::Batch,
    CHANNELS_PER_COMMAND, Requests,
    expected::{End, Expected, Then},
};
use crate::{
    connect::slot,
    resp::{self, Verb},
};

impl Requests {
    pub(super) fn unsubscribe(&mut self, names: &[Arc<str>], then: Then) {
        let mut commands = names.chunks(CHANNELS_PER_COMMAND).peekable();
        let mut then = Some(then);
        while let Some(names) = commands.next() {
            let is_last = commands.peek().is_none();
            let end = End {
                verb: Verb::Unsubscribe,
                slot: None,
                names: names.to_vec(),
                then: then.take_if(|_| is_last).unwrap_or_default(),
            };
            self.request_end(end);
        }
    }

    pub(super) fn unsubscribe_shards(&mut self, channels: Vec<Arc<str>>) {
        let mut by_slot: BTreeMap<u16, Vec<Arc<str>>> = BTreeMap::new();
        for channel in channels {
            by_slot.entry(slot(&channel)).or_default().push(channel);
        }
        for (slot, names) in by_slot {
            self.request_end(End {
                verb: Verb::UnsubscribeShard,
                slot: Some(slot),
                names,
                then: Then::default(),
            });
        }
    }

    pub(super) fn request_end(&mut self, end: End) {
        let names = end.names.iter().map(AsRef::as_ref);
        resp::command(&mut self.commands, end.verb.command(), names);
        let left = end.names.len();
        self.expected.push_back(match end.slot {
            None => Expected::Unsubscribed { left, end },
            Some(_) => Expected::ShardUnsubscribed { left, end },
        });
    }

    /// Asks a server again for ends that it was too busy for. An end waits while its names are
    /// requested anew: sent now, it would end what that request begins.
    pub(super) fn request_ends(&mut self) {
        if self.later.ends.is_empty() {
            return;
        }
        let batches = self.expected.iter().filter_map(|expected| match expected {
            Expected::Batch(batch) => Some(batch),
            _ => None,
        });
        let requested: HashSet<&Arc<str>, RandomState> = batches.flat_map(Batch::names).collect();
        let is_requested = |end: &End| end.names.iter().any(|name| requested.contains(name));
        let ends = std::mem::take(&mut self.later.ends).into_iter();
        let (waiting, ready): (VecDeque<_>, VecDeque<_>) = ends.partition(is_requested);
        self.later.ends = waiting;
        for end in ready {
            self.request_end(end);
        }
    }

    /// Subscriptions are live by a request that was made after the ends that wait: these are not to
    /// be asked for any more.
    pub(super) fn forget_ends(&mut self, live: &[Subscription]) {
        if self.later.ends.is_empty() {
            return;
        }
        let names = live.iter().flat_map(Subscription::names);
        let names: HashSet<&Arc<str>, RandomState> = names.collect();
        for mut end in std::mem::take(&mut self.later.ends) {
            end.names.retain(|name| !names.contains(name));
            match end.names.is_empty() {
                true => self.ended(end),
                false => self.later.ends.push_back(end),
            }
        }
    }

    /// Subscriptions have ended.
    pub(super) fn ended(&mut self, end: End) {
        let then = end.then;
        if let Some((channels, since)) = then.lost {
            self.events.push(Event::Lost(Loss {
                scope: LossScope::Channels {
                    epoch: self.epoch,
                    channels,
                },
                since,
                reason: "their slots have moved to another node".to_owned(),
            }));
        }
        if let Some(node) = &mut self.node {
            for name in &end.names {
                node.ending.remove(name);
            }
            node.elsewhere.extend(then.elsewhere);
        }
    }
}
