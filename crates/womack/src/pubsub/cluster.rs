//! The link to a cluster: a connection to each master, and every channel with the one that has its
//! slot.
//!
//! A channel is asked for in two ways: `SSUBSCRIBE` brings what is published by `SPUBLISH`, and
//! `SUBSCRIBE`, with the same node, what is published by `PUBLISH`, which a cluster passes on to
//! all of its nodes. So publishers may use either.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep_until},
};

use super::{
    Command, Event, Standing, Wish, backlog::Backlog, connection::Connection, wishes::Wishes,
};
use crate::{
    backend::{Address, Backend, Slots, slot},
    backoff::Backoff,
};

/// How often the cluster is asked how it is laid out, if nothing else tells.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps the link up until nobody wants it.
pub(super) async fn run(
    backend: Backend,
    standing: Standing,
    backlog: Arc<Backlog>,
    mut commands: UnboundedReceiver<Command>,
) {
    let (notes_sender, mut notes) = unbounded_channel();
    let (moved_sender, mut moved) = unbounded_channel();
    let mut cluster = Cluster {
        backend,
        standing,
        stands_at: None,
        backlog,
        slots: Slots::default(),
        nodes: HashMap::new(),
        wishes: Wishes::default(),
        is_whole: false,
        backoff: Backoff::default(),
        next_look: Instant::now(),
        node_number: 0,
        notes: notes_sender,
        moved: moved_sender,
    };
    loop {
        select! {
            command = commands.recv() => match command {
                Some(command) => cluster.obey(command),
                None => return,
            },
            Some(note) = notes.recv() => cluster.note(note),
            Some(wishes) = moved.recv() => {
                cluster.wishes.add(wishes);
                cluster.look_soon();
            }
            () = sleep_until(cluster.next_look) => cluster.look().await,
        }
    }
}

struct Cluster {
    backend: Backend,
    standing: Standing,
    /// The node that brings what stands.
    stands_at: Option<NodeId>,
    backlog: Arc<Backlog>,
    slots: Slots,
    nodes: HashMap<Address, Node>,
    /// What no node can be asked for now.
    wishes: Wishes,
    /// Whether every slot has a node that is connected.
    is_whole: bool,
    backoff: Backoff,
    next_look: Instant,
    /// Of the last node that was connected to.
    node_number: u64,
    notes: UnboundedSender<Note>,
    moved: UnboundedSender<Vec<Wish>>,
}

/// A master that is connected, or about to be.
struct Node {
    /// Tells it from an earlier one at the same address.
    number: u64,
    commands: UnboundedSender<Command>,
    is_up: bool,
}

/// What a node's task says.
enum Note {
    Up(NodeId),
    /// It has ended, and did not do what was wished.
    Down(NodeId, Wishes),
}

/// Names a node's task.
type NodeId = (Address, u64);

impl Cluster {
    /// Asks how the cluster is laid out, and connects to who is new in it.
    async fn look(&mut self) {
        self.next_look = Instant::now() + LOOK_INTERVAL;
        let up = self.nodes.iter().filter(|(_, node)| node.is_up);
        let known: Vec<_> = up.map(|(address, _)| address.clone()).collect();
        match self.backend.slots(&known).await {
            Ok(slots) => self.slots = slots,
            Err(error) => {
                self.look_soon();
                return self.fail(error.to_string());
            }
        }
        let owners: Vec<_> = self.slots.owners().into_iter().cloned().collect();
        // Who has no slots any more has lost what is live there; its task ends, and says so.
        self.nodes.retain(|address, _| owners.contains(address));
        for address in owners {
            if !self.nodes.contains_key(&address) {
                self.connect(address);
            }
        }
        let wishes = self.wishes.take(usize::MAX);
        self.ask(wishes);
        self.judge();
    }

    /// There is something that a look may mend.
    fn look_soon(&mut self) {
        self.backoff.failed();
        let wait = self.backoff.wait().unwrap_or_default();
        self.next_look = self.next_look.min(Instant::now() + wait);
    }

    fn connect(&mut self, address: Address) {
        let (sender, commands) = unbounded_channel();
        self.node_number += 1;
        let node = Node {
            number: self.node_number,
            commands: sender,
            is_up: false,
        };
        self.nodes.insert(address.clone(), node);
        tokio::spawn(serve_node(
            self.backend.clone(),
            (address, self.node_number),
            self.backlog.clone(),
            commands,
            self.notes.clone(),
            self.moved.clone(),
        ));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Ask(wishes) => self.ask(wishes),
            Command::GiveUp(wishes) => self.give_up(wishes),
            Command::Restored | Command::Stand(_) => {}
        }
    }

    /// Hands wishes to the nodes that have their slots.
    fn ask(&mut self, wishes: Vec<Wish>) {
        for (address, wishes) in self.by_owner(wishes) {
            let node = address.and_then(|address| self.nodes.get(&address));
            let command = Command::Ask(wishes);
            let Some(node) = node else {
                self.wishes.obey(command);
                self.look_soon();
                continue;
            };
            // Its task may have ended a moment ago.
            if let Err(refused) = node.commands.send(command) {
                self.wishes.obey(refused.0);
                self.look_soon();
            }
        }
    }

    fn give_up(&mut self, mut wishes: Vec<Wish>) {
        wishes.retain(|wish| !self.wishes.take_back(&wish.channel));
        for (address, wishes) in self.by_owner(wishes) {
            let node = address.and_then(|address| self.nodes.get(&address));
            if let Some(node) = node {
                // A node that has ended has none of its channels.
                node.commands.send(Command::GiveUp(wishes)).ok();
            }
        }
    }

    fn by_owner(&self, wishes: Vec<Wish>) -> HashMap<Option<Address>, Vec<Wish>> {
        let mut by_owner: HashMap<_, Vec<Wish>> = HashMap::new();
        for wish in wishes {
            let owner = self.slots.owner(slot(&wish.channel)).cloned();
            by_owner.entry(owner).or_default().push(wish);
        }
        by_owner
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Up((address, number)) => {
                let node = self.nodes.get_mut(&address);
                if let Some(node) = node.filter(|node| node.number == number) {
                    node.is_up = true;
                }
            }
            Note::Down((address, number), mut wishes) => {
                if self
                    .nodes
                    .get(&address)
                    .is_some_and(|node| node.number == number)
                {
                    self.nodes.remove(&address);
                }
                if self.stands_at.as_ref().is_some_and(|(_, at)| *at == number) {
                    self.stands_at = None;
                    // All is lost with it, until everything is whole again.
                    self.is_whole = false;
                }
                self.wishes.add(wishes.take(usize::MAX));
                self.look_soon();
            }
        }
        self.judge();
    }

    /// Says whether every slot has a node that is connected, when that has changed.
    fn judge(&mut self) {
        self.stand();
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
                self.backlog.add_one(Event::Settled);
            }
            None => {}
        }
        if self.is_whole && self.wishes.is_empty() {
            self.backoff.succeeded();
        }
    }

    fn fail(&mut self, reason: String) {
        self.is_whole = false;
        self.backlog.add_one(Event::Failed(reason));
    }

    /// Has one of the nodes bring what stands, if none does.
    fn stand(&mut self) {
        if self.stands_at.is_some() || self.standing.is_empty() {
            return;
        }
        let up = self.nodes.iter().find(|(_, node)| node.is_up);
        if let Some((address, node)) = up {
            // If it has just ended, its end finds another.
            node.commands
                .send(Command::Stand(self.standing.clone()))
                .ok();
            self.stands_at = Some((address.clone(), node.number));
        }
    }
}

/// Serves one node until it is lost, or has no slots any more.
async fn serve_node(
    backend: Backend,
    (address, number): NodeId,
    backlog: Arc<Backlog>,
    mut commands: UnboundedReceiver<Command>,
    notes: UnboundedSender<Note>,
    moved: UnboundedSender<Vec<Wish>>,
) {
    let opening = Connection::open(&backend, &address, backlog.clone(), Some(moved));
    let mut wishes = match opening.await {
        Ok(mut connection) => {
            // The notes are read as long as the link is there.
            notes.send(Note::Up((address.clone(), number))).ok();
            let reason = connection.serve(&mut commands).await;
            let (mut loss, wishes) = connection.end(reason);
            loss.reason = format!("{address}: {}", loss.reason);
            backlog.add_one(Event::Lost(loss));
            wishes
        }
        Err(error) => {
            backlog.add_one(Event::Failed(error.to_string()));
            Wishes::default()
        }
    };
    while let Ok(command) = commands.try_recv() {
        wishes.obey(command);
    }
    notes.send(Note::Down((address, number), wishes)).ok();
}
