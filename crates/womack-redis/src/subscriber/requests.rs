//! The requests of one connection for subscriptions, and the replies that are due to them.
//!
//! Redis answers commands in their order, and a confirmation names one channel after the other in
//! the order in which they were asked for. The connection is therefore a queue of expected replies,
//! and a reply belongs to its front. Nothing here reads a socket or a clock: the driver hands in
//! replies and writes the commands that come of them.

mod ends;
mod expected;
mod outcomes;
mod refusal;
mod replies;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use ahash::RandomState;
use womack_proto::subscriber::{Epoch, Event, Message, StaticSubscriptions, Subscription};

pub(super) use self::expected::Answer;
use self::expected::{End, Expected, Then};
use super::{batch::Batch, pending::PendingSubscriptions};
use crate::{
    connect::slot,
    resp::{self, Verb},
};

/// Channels in one command.
const CHANNELS_PER_COMMAND: usize = 1024;
/// Batches under way to a single server before more is gathered for the next. A node of a cluster
/// has one: its batch is many commands, one for each slot.
const BATCHES_IN_FLIGHT: usize = 2;
/// Requests of one channel each under way, which come of refused batches.
const SINGLES_IN_FLIGHT: usize = 1024;

/// The requests of one connection.
pub(super) struct Requests {
    epoch: Epoch,
    pending: PendingSubscriptions,
    /// Subscriptions of a batch that was refused: one of them was the cause, and each is asked for
    /// by itself to find out which.
    singles: VecDeque<Subscription>,
    expected: VecDeque<Expected>,
    /// Batches, and requests of single channels, that are under way.
    batches: usize,
    singles_in_flight: usize,
    later: Later,
    /// Whether the server was busy with a script when it was last asked something.
    is_busy: bool,
    /// Static subscriptions that are not answered, and those that were refused.
    statics_left: usize,
    refused_statics: Vec<(Verb, Arc<str>)>,
    /// There if the server is a node of a cluster.
    node: Option<Node>,
    commands: Vec<u8>, // bounded: by the batches in flight
    events: Vec<Event>,
}

/// Commands that are to be written again as soon as the server is not busy any more.
#[derive(Default)]
struct Later {
    ends: VecDeque<End>,
    statics: Vec<(Verb, Arc<str>)>,
}

/// The state of a node of a cluster.
#[derive(Default)]
struct Node {
    /// Channels that are live here, with their aliases.
    live: HashMap<Arc<str>, Vec<Arc<str>>, RandomState>,
    /// Channels whose slots have just moved away.
    moved_away: Vec<Arc<str>>,
    /// Names of channels whose slots have moved away, and whose subscriptions still end. Something
    /// may be missing before every message that they bring.
    ending: HashSet<Arc<str>, RandomState>,
    /// Subscriptions that another node has to take.
    elsewhere: Vec<Subscription>,
}

impl Requests {
    pub(super) fn new(epoch: Epoch, pending: PendingSubscriptions, is_node: bool) -> Self {
        Self {
            epoch,
            pending,
            singles: VecDeque::new(),
            expected: VecDeque::new(),
            batches: 0,
            singles_in_flight: 0,
            later: Later::default(),
            is_busy: false,
            statics_left: 0,
            refused_statics: Vec::new(),
            node: is_node.then(Node::default),
            commands: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Wants channels, as soon as fewer commands are under way.
    pub(super) fn subscribe(&mut self, subscriptions: Vec<Subscription>) {
        self.pending.add(subscriptions);
    }

    /// Wants names that stay subscribed whichever clients are there.
    pub(super) fn subscribe_static(&mut self, statics: &StaticSubscriptions) {
        let channels = statics.channels.iter().map(|name| (Verb::Subscribe, name));
        let patterns = statics.patterns.iter();
        let patterns = patterns.map(|name| (Verb::SubscribePattern, name));
        for (verb, name) in channels.chain(patterns) {
            self.statics_left += 1;
            self.request_static(verb, name.clone());
        }
    }

    /// Wants the static subscriptions again that were refused.
    pub(super) fn retry_statics(&mut self) {
        for (verb, name) in std::mem::take(&mut self.refused_statics) {
            self.statics_left += 1;
            self.request_static(verb, name);
        }
    }

    fn request_static(&mut self, verb: Verb, name: Arc<str>) {
        self.command(verb, [&*name]);
        self.expected.push_back(Expected::Static(verb, name));
    }

    pub(super) const fn has_refused_statics(&self) -> bool {
        !self.refused_statics.is_empty()
    }

    /// Ends subscriptions. Those that were never asked for are forgotten.
    pub(super) fn give_up(&mut self, subscriptions: &[Subscription]) {
        let mut names = Vec::new();
        let mut shards = Vec::new();
        for subscription in subscriptions {
            let channel = &subscription.channel;
            if self.pending.give_up(channel) || self.give_up_single(channel) {
                continue;
            }
            let mut in_flight = self.expected.iter_mut();
            let was_requested = in_flight.any(|expected| match expected {
                Expected::Batch(batch) => batch.give_up(channel),
                Expected::Unsubscribed { end, .. } => end.then.give_up(channel),
                _ => false,
            });
            let was_requested = was_requested
                || self
                    .later
                    .ends
                    .iter_mut()
                    .any(|end| end.then.give_up(channel));
            if let Some(node) = &mut self.node {
                let was_live = node.live.remove(channel).is_some();
                let before = node.elsewhere.len();
                node.elsewhere.retain(|other| other.channel != *channel);
                if !was_live && !was_requested || before > node.elsewhere.len() {
                    continue;
                }
                shards.push(channel.clone());
            }
            names.extend(subscription.names().cloned());
        }
        self.unsubscribe_shards(shards);
        self.unsubscribe(&names, Then::default());
    }

    fn give_up_single(&mut self, channel: &str) -> bool {
        let at = self
            .singles
            .iter()
            .position(|single| *single.channel == *channel);
        at.is_some_and(|at| self.singles.remove(at).is_some())
    }

    /// Asks whether the server is there.
    pub(super) fn ping(&mut self, now: Instant) {
        self.is_busy = false;
        resp::command(&mut self.commands, "PING", [].into_iter());
        self.expected.push_back(Expected::Pong(now));
    }

    /// Asks whether the server is the one that it was.
    pub(super) fn ask_identity(&mut self, now: Instant) {
        resp::command(&mut self.commands, "INFO", ["replication"].into_iter());
        self.expected.push_back(Expected::Identity(now));
    }

    /// Moves the commands that are to be written to the end of `out`. Subscriptions that come while
    /// enough is under way are gathered for the next time.
    pub(super) fn poll_commands(&mut self, out: &mut Vec<u8>) {
        let most = match self.node {
            None => BATCHES_IN_FLIGHT,
            Some(_) => 1,
        };
        if !self.is_busy {
            self.request_later();
        }
        while !self.is_busy
            && self.singles_in_flight < SINGLES_IN_FLIGHT
            && let Some(single) = self.singles.pop_front()
        {
            self.singles_in_flight += 1;
            self.request(Batch::single(single));
        }
        while !self.is_busy && self.batches < most && !self.pending.is_empty() {
            self.batches += 1;
            let subscriptions = self.pending.take(CHANNELS_PER_COMMAND);
            self.request(Batch::new(subscriptions));
        }
        out.append(&mut self.commands);
    }

    /// Asks a server again that was busy. Ends come first: what is asked for anew of the same name
    /// counts.
    fn request_later(&mut self) {
        self.request_ends();
        for (verb, name) in std::mem::take(&mut self.later.statics) {
            self.request_static(verb, name);
        }
    }

    /// Moves what has happened to the end of `events`.
    pub(super) fn poll_events(&mut self, events: &mut Vec<Event>) {
        events.append(&mut self.events);
    }

    /// Subscriptions that another node has to take.
    pub(super) fn poll_elsewhere(&mut self) -> Vec<Subscription> {
        let node = self.node.as_mut();
        node.map(|node| std::mem::take(&mut node.elsewhere))
            .unwrap_or_default()
    }

    /// Whether a message is from a channel whose slot has moved away. It belongs to the gap that is
    /// told as soon as the subscription has ended.
    pub(super) fn is_ending(&self, message: &Message) -> bool {
        let ending = self.node.as_ref().map(|node| &node.ending);
        ending.is_some_and(|names| !names.is_empty() && names.contains(message.channel()))
    }

    /// Ends the subscriptions of channels whose slots have moved away. They are lost when that is
    /// confirmed, so that no message comes from two nodes. All that was published before
    /// `received_to` has come.
    pub(super) fn move_away(&mut self, received_to: Instant) {
        let Some(node) = &mut self.node else {
            return;
        };
        if node.moved_away.is_empty() {
            return;
        }
        let channels = std::mem::take(&mut node.moved_away);
        let mut names = Vec::new();
        for channel in &channels {
            let aliases = node.live.remove(channel).unwrap_or_default();
            names.push(channel.clone());
            names.extend(aliases);
        }
        let then = Then {
            lost: Some((channels, received_to)),
            elsewhere: Vec::new(),
        };
        self.unsubscribe(&names, then);
    }

    /// Subscriptions that are wanted and not live, in their order.
    pub(super) fn into_unfinished(self) -> PendingSubscriptions {
        let mut unfinished = PendingSubscriptions::default();
        for expected in self.expected {
            match expected {
                Expected::Batch(batch) => {
                    unfinished.add(batch.into_outcomes().map(|(subscription, _)| subscription));
                }
                Expected::Unsubscribed { end, .. } => unfinished.add(end.then.elsewhere),
                _ => {}
            }
        }
        let ends = self.later.ends.into_iter();
        unfinished.add(ends.flat_map(|end| end.then.elsewhere));
        unfinished.add(self.node.into_iter().flat_map(|node| node.elsewhere));
        unfinished.add(self.singles);
        let mut pending = self.pending;
        unfinished.add(pending.take(usize::MAX));
        unfinished
    }

    fn command<'a>(&mut self, verb: Verb, names: impl IntoIterator<Item = &'a str>) {
        resp::command(&mut self.commands, verb.command(), names.into_iter());
    }

    fn request(&mut self, mut batch: Batch) {
        let names = batch.expect_names();
        let verb = Verb::Subscribe.command();
        resp::command(&mut self.commands, verb, names.iter().map(AsRef::as_ref));
        if self.node.is_some() {
            let mut by_slot: BTreeMap<u16, Vec<Arc<str>>> = BTreeMap::new();
            for subscription in batch.subscriptions() {
                let channel = subscription.channel.clone();
                by_slot.entry(slot(&channel)).or_default().push(channel);
            }
            for (slot, channels) in by_slot {
                self.command(Verb::SubscribeShard, channels.iter().map(AsRef::as_ref));
                batch.expect_slot(slot, channels);
            }
        }
        self.expected.push_back(Expected::Batch(batch));
    }
}

#[cfg(test)]
mod tests;
