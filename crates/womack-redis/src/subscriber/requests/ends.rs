//! The ends of subscriptions, and their consequences.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use ahash::RandomState;
use womack_proto::subscriber::{Event, Loss, LossScope};

use super::{
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

    /// Asks again, as soon as the server is not busy any more, for the end of what nobody has asked
    /// for meanwhile: the requests that are under way were made after it.
    pub(super) fn end_later(&mut self, mut end: End) {
        for expected in &self.expected {
            if let Expected::Batch(batch) = expected {
                let requested: HashSet<&Arc<str>, RandomState> = batch.names().collect();
                end.names.retain(|name| !requested.contains(name));
            }
        }
        match end.names.is_empty() {
            true => self.ended(end),
            false => self.later.ends.push_back(end),
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
            node.elsewhere.extend(then.elsewhere);
        }
    }
}
