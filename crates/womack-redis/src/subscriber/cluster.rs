//! The link to a cluster: a connection to each master, and every channel with the one that has its
//! slot.
//!
//! A channel is asked for in two ways: `SSUBSCRIBE` brings what is published by `SPUBLISH`, and
//! `SUBSCRIBE`, with the same node, what is published by `PUBLISH`, which a cluster passes on to
//! all of its nodes. So publishers may use either.
//!
//! Finding out how the slots lie is a task of its own, and a node that does not answer costs its
//! own channels only: everybody else is asked, told and given up meanwhile.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ahash::RandomState;
use indexmap::IndexMap;
use tokio::{
    select,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep_until},
};
use womack_proto::subscriber::{Event, Generation, StaticSubscriptions, Subscription};

use super::{
    context::{Command, Context},
    node,
    notice::{NodeNumber, Notice},
    pending::PendingSubscriptions,
};
use crate::{
    backoff::Backoff,
    connect::{Address, Slots, Unreachable, slot},
};

/// How often the cluster is asked how its slots lie, if nothing else tells.
const SLOTS_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps the link up until nobody wants it.
pub(super) async fn run(
    context: Arc<Context>,
    statics: StaticSubscriptions,
    mut commands: UnboundedReceiver<Command>,
) {
    let (notices_sender, mut notices) = unbounded_channel();
    let mut cluster = Cluster {
        context,
        statics,
        statics_at: None,
        slots: Slots::default(),
        asks_slots: false,
        nodes: IndexMap::default(),
        pending: PendingSubscriptions::default(),
        requested_at: HashMap::default(),
        is_whole: false,
        backoff: Backoff::default(),
        next_slots: Instant::now(),
        last_node: NodeNumber::default(),
        notices: notices_sender,
    };
    loop {
        select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => cluster.handle_command(command),
                None => return,
            },
            Some(notice) = notices.recv() => cluster.handle_notice(notice),
            () = sleep_until(cluster.next_slots), if !cluster.asks_slots => cluster.ask_slots(),
        }
    }
}

struct Cluster {
    context: Arc<Context>,
    statics: StaticSubscriptions,
    /// The node that brings the static subscriptions.
    statics_at: Option<NodeNumber>,
    slots: Slots,
    /// Whether a task is asking how the slots lie.
    asks_slots: bool,
    /// In the order in which they were connected to, so that no hash decides which is asked first.
    nodes: IndexMap<Address, Node, RandomState>,
    /// Subscriptions that no node can be asked for now.
    pending: PendingSubscriptions,
    /// The node that each channel was requested of, and the request. Its slot may have moved since.
    requested_at: HashMap<Arc<str>, (NodeNumber, Generation), RandomState>,
    /// Whether every slot has a node that is connected.
    is_whole: bool,
    backoff: Backoff,
    next_slots: Instant,
    /// The node that was connected to last.
    last_node: NodeNumber,
    notices: UnboundedSender<Notice>,
}

/// A master that is connected, or about to be.
struct Node {
    number: NodeNumber,
    commands: UnboundedSender<Command>,
    is_up: bool,
}

impl Cluster {
    /// Has a task ask how the slots lie: the nodes that are connected first, then all at once.
    fn ask_slots(&mut self) {
        self.asks_slots = true;
        let up = self.nodes.iter().filter(|(_, node)| node.is_up);
        let connected: Vec<_> = up.map(|(address, _)| address.clone()).collect();
        let known: Vec<_> = self.slots.owners().into_iter().cloned().collect();
        let (context, notices) = (self.context.clone(), self.notices.clone());
        tokio::spawn(async move {
            let slots = context.backend.slots(&connected, &known).await;
            // The notices are read as long as the cluster is there.
            notices.send(Notice::Slots(slots)).ok();
        });
    }

    fn handle_slots(&mut self, slots: Result<Slots, Unreachable>) {
        self.asks_slots = false;
        self.next_slots = Instant::now() + SLOTS_INTERVAL;
        match slots {
            Ok(slots) => self.slots = slots,
            Err(error) => {
                self.ask_slots_soon();
                return self.fail(error.to_string());
            }
        }
        let owners: Vec<_> = self.slots.owners().into_iter().cloned().collect();
        // A node without slots has lost what was live there; its task ends, and says so.
        self.nodes.retain(|address, _| owners.contains(address));
        for address in owners {
            if !self.nodes.contains_key(&address) {
                self.connect(address);
            }
        }
        let pending = self.pending.take(usize::MAX);
        self.subscribe(pending);
        self.update_health();
    }

    /// Knowing how the slots lie may mend something.
    fn ask_slots_soon(&mut self) {
        self.backoff.failed();
        let wait = self.backoff.wait().unwrap_or_default();
        self.next_slots = self.next_slots.min(Instant::now() + wait);
    }

    fn connect(&mut self, address: Address) {
        let (sender, commands) = unbounded_channel();
        let number = self.last_node.next();
        self.last_node = number;
        let node = Node {
            number,
            commands: sender,
            is_up: false,
        };
        self.nodes.insert(address.clone(), node);
        let (context, notices) = (self.context.clone(), self.notices.clone());
        tokio::spawn(node::serve(context, address, number, commands, notices));
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Subscribe(subscriptions) => self.subscribe(subscriptions),
            Command::GiveUp(subscriptions) => self.give_up(subscriptions),
            Command::SubscribeStatic(_) => {}
        }
    }

    /// Requests subscriptions of the nodes that have their slots.
    fn subscribe(&mut self, subscriptions: Vec<Subscription>) {
        let mut by_owner: IndexMap<Option<&Address>, Vec<Subscription>, RandomState> =
            IndexMap::default();
        for subscription in subscriptions {
            let owner = self.slots.owner(slot(&subscription.channel));
            by_owner.entry(owner).or_default().push(subscription);
        }
        let (mut homeless, mut is_lost) = (Vec::new(), false);
        for (owner, subscriptions) in by_owner {
            let node = owner.and_then(|address| self.nodes.get(address));
            let Some(node) = node.filter(|node| node.is_up) else {
                // One that is about to be connected takes them then, if they are still its own.
                is_lost |= node.is_none();
                homeless.extend(subscriptions);
                continue;
            };
            let requested = subscriptions.iter().map(|found| {
                let request = (node.number, found.generation);
                (found.channel.clone(), request)
            });
            let requested: Vec<_> = requested.collect();
            // Its task may have ended a moment ago.
            match node.commands.send(Command::Subscribe(subscriptions)) {
                Ok(()) => self.requested_at.extend(requested),
                Err(refused) => {
                    is_lost = true;
                    if let Command::Subscribe(subscriptions) = refused.0 {
                        homeless.extend(subscriptions);
                    }
                }
            }
        }
        self.pending.add(homeless);
        if is_lost {
            self.ask_slots_soon();
        }
    }

    /// Gives subscriptions up where they were requested, wherever their slots are now.
    fn give_up(&mut self, subscriptions: Vec<Subscription>) {
        let mut by_node: HashMap<NodeNumber, Vec<Subscription>, RandomState> = HashMap::default();
        for subscription in subscriptions {
            self.pending.give_up(&subscription.channel);
            if let Some((number, _)) = self.requested_at.remove(&subscription.channel) {
                by_node.entry(number).or_default().push(subscription);
            }
        }
        for node in self.nodes.values() {
            if let Some(subscriptions) = by_node.remove(&node.number) {
                // A node that has ended has none of its channels.
                node.commands.send(Command::GiveUp(subscriptions)).ok();
            }
        }
    }

    fn handle_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Slots(slots) => return self.handle_slots(slots),
            Notice::Up { address, number } => {
                let node = self.nodes.get_mut(&address);
                if let Some(node) = node.filter(|node| node.number == number) {
                    node.is_up = true;
                    let pending = self.pending.take(usize::MAX);
                    self.subscribe(pending);
                }
            }
            Notice::Down {
                address,
                number,
                reason,
                mut unfinished,
            } => {
                let node = self.nodes.get(&address);
                // A node without slots serves no channel: its end is not an error.
                if node.is_some_and(|node| node.number == number) {
                    self.nodes.shift_remove(&address);
                    self.fail(reason);
                }
                if self.statics_at == Some(number) {
                    self.statics_at = None;
                }
                self.retry(number, unfinished.take(usize::MAX));
            }
            Notice::Elsewhere(number, subscriptions) => self.retry(number, subscriptions),
        }
        self.update_health();
    }

    /// Keeps subscriptions that the node of this number did not take for another, but for those
    /// that were given up or requested elsewhere since.
    fn retry(&mut self, number: NodeNumber, mut subscriptions: Vec<Subscription>) {
        let requested_at = &mut self.requested_at;
        subscriptions.retain(|subscription| {
            let request = (number, subscription.generation);
            let is_its = requested_at.get(&subscription.channel) == Some(&request);
            is_its && requested_at.remove(&subscription.channel).is_some()
        });
        self.pending.add(subscriptions);
        self.ask_slots_soon();
    }

    /// Says whether every slot has a node that is connected, when that has changed.
    fn update_health(&mut self) {
        self.place_statics();
        let up = |address: &&Address| self.nodes.get(*address).is_some_and(|node| node.is_up);
        let missing = self.slots.owners().into_iter().find(|address| !up(address));
        let reason = match missing {
            Some(address) => Some(format!("the node {address} is not connected")),
            None if !self.slots.are_whole() => Some("some slots have no master".to_owned()),
            None => None,
        };
        match reason {
            Some(reason) if self.is_whole => self.fail(reason),
            Some(_) => {}
            None if !self.is_whole => {
                self.is_whole = true;
                self.context.backlog.add_one(Event::Connected);
            }
            None => {}
        }
        if self.is_whole && self.pending.is_empty() {
            self.backoff.succeeded();
        }
    }

    fn fail(&mut self, reason: String) {
        self.is_whole = false;
        self.context.backlog.add_one(Event::Failed(reason));
    }

    /// Has one of the nodes bring the static subscriptions, if none does.
    fn place_statics(&mut self) {
        if self.statics_at.is_some() || self.statics.is_empty() {
            return;
        }
        if let Some(node) = self.nodes.values().find(|node| node.is_up) {
            let command = Command::SubscribeStatic(self.statics.clone());
            // If it has just ended, its end finds another.
            node.commands.send(command).ok();
            self.statics_at = Some(node.number);
        }
    }
}

#[cfg(test)]
mod tests;
