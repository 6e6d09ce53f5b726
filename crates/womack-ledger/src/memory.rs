//! What clients cost in memory, and how much of it there is for them.
//!
//! Each shard has a [`Ledger`], a number that only grows and shrinks there; whoever wants to know
//! what all of it comes to adds the ledgers up. Bytes that several clients wait for stand in one
//! buffer, and are counted once, for as long as the last of them needs it.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::{config::Limits, sid::ShardId};

/// What the process takes before there is a client.
pub(crate) const PROCESS_BYTES: usize = 16 << 20;
/// What a shard takes whoever is there: a round under way, and buffers.
pub(crate) const SHARD_BYTES: usize = 8 << 20;
/// What may wait in a shard's queue before the router waits, beside one message that is larger.
pub(crate) const QUEUE_BYTES: usize = 8 << 20;
/// What an idle client takes; `benches/README.md` has the figure.
pub(crate) const CLIENT_BYTES: usize = 640;
/// The cost of a WebSocket that has ended and is still open, beside the bytes that wait for it.
pub(crate) const CLOSING_BYTES: usize = 256;
/// What a place in a channel takes; a channel of its own takes more.
pub(crate) const MEMBERSHIP_BYTES: usize = 128;
/// What an HTTP connection takes: its task, and hyper's buffers.
pub(crate) const HTTP_BYTES: usize = 16 << 10;
/// What a WebSocket's decoder takes while a message is incomplete, beside the message.
pub(crate) const DECODER_BYTES: usize = 8 << 10;
/// The budget where none is set and the system does not say what there is.
const UNKNOWN_BYTES: usize = 512 << 20;

/// The memory of a process.
pub(crate) struct Memory {
    /// The budget where no setting says so.
    share: usize,
    ledgers: Box<[Ledger]>,
    /// What waits in the queues to the shards. What several wait for is counted for each.
    queues: Box<[Ledger]>,
}

impl Memory {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            share: share(),
            ledgers: (0..shards).map(|_| Ledger::default()).collect(),
            queues: (0..shards).map(|_| Ledger::default()).collect(),
        }
    }

    pub(crate) fn ledger(&self, shard: ShardId) -> &Ledger {
        &self.ledgers[usize::from(shard.0)]
    }

    /// The ledgers of the shards' queues, in order.
    pub(crate) fn queues(&self) -> &[Ledger] {
        &self.queues
    }

    /// Bytes that are in use, as far as they are counted.
    pub(crate) fn used(&self) -> usize {
        let ledgers = self.ledgers.iter().chain(&self.queues);
        let held: usize = ledgers.map(Ledger::bytes).sum();
        PROCESS_BYTES + self.ledgers.len() * SHARD_BYTES + held
    }

    pub(crate) const fn budget(&self, limits: &Limits) -> usize {
        match limits.memory_budget_bytes {
            0 => self.share,
            bytes => bytes,
        }
    }

    /// Whether no new client is taken: three quarters of the budget are in use.
    pub(crate) fn is_tight(&self, limits: &Limits) -> bool {
        self.used() > self.budget(limits) / 4 * 3
    }

    /// Whether queues are cut: seven eighths of the budget are in use. What is left is for what an
    /// allocator keeps to itself.
    pub(crate) fn is_short(&self, limits: &Limits) -> bool {
        self.used() > self.budget(limits) / 8 * 7
    }

    /// Whether `shard` has at least its part of what all have.
    pub(crate) fn weighs_on(&self, shard: ShardId) -> bool {
        let all: usize = self.ledgers.iter().map(Ledger::bytes).sum();
        self.ledger(shard).bytes() >= all / self.ledgers.len()
    }
}

/// What one shard's clients cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<AtomicUsize>);

impl Ledger {
    pub(crate) fn charge(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Charges so many bytes until the charge is dropped.
    pub(crate) fn hold(&self, bytes: usize) -> Charge {
        self.charge(bytes);
        Charge {
            ledger: self.clone(),
            bytes,
        }
    }

    /// Makes a buffer shareable that is charged until the last who shares it is gone.
    pub(crate) fn share(&self, buffer: Vec<u8>) -> Bytes {
        let charge = self.hold(buffer.capacity());
        Bytes::from_owner(Charged {
            buffer,
            _charge: charge,
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that are charged to a ledger.
#[derive(Debug)]
pub(crate) struct Charge {
    ledger: Ledger,
    bytes: usize,
}

impl Charge {
    /// Changes how many bytes are charged.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.ledger.charge(bytes);
        self.ledger
            .release(std::mem::replace(&mut self.bytes, bytes));
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.release(self.bytes);
    }
}

struct Charged {
    buffer: Vec<u8>,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

/// Half of what the process may use at most.
fn share() -> usize {
    available().map_or(UNKNOWN_BYTES, |bytes| bytes / 2)
}

/// What the process may use: what its group of processes is allowed, or what the machine has.
pub(crate) fn available() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(total);
    let groups = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = groups.iter().filter_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        text.trim().parse().ok()
    });
    limits.chain(machine).min()
}

/// The bytes of `MemTotal` in `/proc/meminfo` (proc_meminfo(5)).
fn total(meminfo: &str) -> Option<usize> {
    let rest = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: usize = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_counted_once_and_until_nobody_needs_it() {
        let ledger = Ledger::default();
        let buffer = ledger.share(vec![7; 1000]);
        let parts = [buffer.slice(..10), buffer.slice(500..)];
        assert_eq!(ledger.bytes(), 1000);
        drop(buffer);
        let [first, second] = parts;
        drop(first);
        assert_eq!((ledger.bytes(), second.len()), (1000, 500));
        drop(second);
        assert_eq!(ledger.bytes(), 0);
    }

    #[test]
    fn the_ladder_has_two_steps() {
        let memory = Memory::new(2);
        let idle = memory.used();
        let limits = Limits {
            memory_budget_bytes: 2 * idle,
            ..Limits::default()
        };
        let steps = || (memory.is_tight(&limits), memory.is_short(&limits));
        assert_eq!(steps(), (false, false));
        let mut charge = memory.ledger(ShardId(1)).hold(idle / 2 + 100);
        assert_eq!(steps(), (true, false));
        charge.set(idle / 4 * 3 + 100);
        assert_eq!(steps(), (true, true));
        assert!(memory.weighs_on(ShardId(1)) && !memory.weighs_on(ShardId(0)));
        drop(charge);
        memory.queues()[0].charge(100);
        assert_eq!(memory.used(), idle + 100);
        memory.queues()[0].release(100);
        assert_eq!(memory.used(), idle);
    }

    #[test]
    fn meminfo_is_read_as_it_is_written() {
        assert_eq!(total("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16384));
        assert_eq!(total("MemTotal: many kB\n"), None);
        assert!(available().is_some(), "a Linux system says what it has");
    }
}
