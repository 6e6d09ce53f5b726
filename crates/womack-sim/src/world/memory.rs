//! The memory that nodes have for their clients, whom they close for want of it, and what they hold.

use super::World;
use crate::node::Memory;

/// Bytes that no client holds at the server that takes what is there for it: what is published
/// while the way is troubled longest comes at once after that.
const MODEST_BYTES: usize = 128 << 10;
/// Milliseconds until a client has learnt that it was closed: it may sleep, and have a request under
/// way to another node.
const LEARNS: u64 = 10_000;

/// Bytes that a node may hold at rest whoever is there, and for each session: its place in channels is
/// a part of that. What a hostile client leaves behind is more.
const HELD: usize = 16 << 10;
const HELD_FOR_EACH: usize = 4 << 10;

impl World {
    /// Takes memory from a node. Returns whether there is one that had enough.
    pub(crate) fn take_memory(&self, number: usize, memory: Memory) -> bool {
        self.check_closed_for_memory(number);
        let mut slot = self.nodes[number].borrow_mut();
        let Some(node) = slot.node.as_ref().filter(|_| !slot.is_short) else {
            return false;
        };
        node.set_memory(memory);
        slot.is_short = true;
        if matches!(memory, Memory::OfEach(bytes) if bytes < MODEST_BYTES) {
            slot.evicts_until = u64::MAX;
        }
        true
    }

    /// A node has enough memory again.
    pub(crate) fn free_memory(&self, number: usize) {
        let mut slot = self.nodes[number].borrow_mut();
        if !slot.is_short {
            // Another node has taken its place.
            return;
        }
        slot.is_short = false;
        slot.evicts_until = slot.evicts_until.min(self.wall.true_millis() + LEARNS);
        let Some(node) = slot.node.clone() else {
            return;
        };
        node.set_memory(Memory::Enough);
        let closed = node.closed_for_memory();
        let before = std::mem::replace(&mut slot.closed_for_memory, closed);
        (before..closed).for_each(|_| self.count("closed for memory"));
    }

    /// Clients are closed for memory only while a node has not enough.
    fn check_closed_for_memory(&self, number: usize) {
        let slot = self.nodes[number].borrow();
        let closed = slot.node.as_ref().map(|node| node.closed_for_memory());
        if !slot.is_short && closed.is_some_and(|closed| closed != slot.closed_for_memory) {
            self.violate(&format!(
                "node {number} has closed clients for memory, and had enough"
            ));
        }
    }

    /// At rest: what was held for clients that have gone is given back.
    pub(crate) fn check_memory_at_rest(&self, number: usize) {
        self.check_closed_for_memory(number);
        let Some(node) = self.node_at(number) else {
            return;
        };
        let (sessions, held) = (node.sessions(), node.held());
        self.note(format!("{sessions} sessions hold {held} bytes"));
        if held > HELD + sessions * HELD_FOR_EACH {
            self.violate(&format!(
                "node {number} holds {held} bytes for {sessions} sessions at rest"
            ));
        }
    }
}
