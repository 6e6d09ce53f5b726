//! The memory of the process: its budget, and the ledgers of all shards.

use std::fs;

use crate::{cgroup, ledger::Ledger, shard_id::ShardId};

/// What the process takes before there is a client.
pub const PROCESS_BYTES: usize = 16 << 20;
/// What a shard takes whoever is there: a round under way, and buffers.
pub const SHARD_BYTES: usize = 8 << 20;
/// What may wait in a shard's queue before the router waits, beside one message that is larger.
pub const QUEUE_BYTES: usize = 8 << 20;
/// What an idle client takes; `benches/README.md` has the figure.
pub const CLIENT_BYTES: usize = 640;
/// The cost of a WebSocket that has ended and is still open, beside the bytes that wait for it.
pub const CLOSING_BYTES: usize = 256;
/// What a place in a channel takes.
pub const MEMBERSHIP_BYTES: usize = 128;
/// What a channel takes in a shard, beside its name.
pub const CHANNEL_BYTES: usize = 256;
/// What a channel takes in the router and in the link to Redis, beside its name and the beginnings
/// of its frames.
pub const ROUTE_BYTES: usize = 384;
/// What a channel with a name of ordinary length costs a node in all: in the map of a shard, in the
/// router's table and in the link to Redis.
pub const NODE_CHANNEL_BYTES: usize = 1 << 10;
/// What an HTTP connection takes: its task, and hyper's buffers.
pub const HTTP_BYTES: usize = 16 << 10;
/// What a WebSocket's decoder takes while a message is incomplete, beside the message.
pub const DECODER_BYTES: usize = 8 << 10;
/// The budget where none is set and the system does not say what there is.
const UNKNOWN_BYTES: usize = 512 << 20;

/// What a buffer takes that has grown to `bytes`: room beyond that was never written to takes no
/// memory of the system, but what it outgrew stays with the allocator for a while.
pub const fn grown(bytes: usize) -> usize {
    bytes + bytes / 4
}

/// The memory of a process.
pub struct Memory {
    /// The budget where no setting says so.
    share: usize,
    ledgers: Box<[Ledger]>,
    /// What waits in the queues to the shards. What several wait for is counted for each.
    queues: Box<[Ledger]>,
    /// Reports of shards that wait for the reporter.
    reports: Ledger,
    /// All else that no shard holds: router, link to Redis, relay.
    others: Ledger,
}

impl Memory {
    /// The memory of a process with so many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            share: share(),
            ledgers: (0..shards).map(|_| Ledger::default()).collect(),
            queues: (0..shards).map(|_| Ledger::default()).collect(),
            reports: Ledger::default(),
            others: Ledger::default(),
        }
    }

    /// The ledger of one shard's clients.
    ///
    /// # Panics
    /// There is no such shard.
    pub fn ledger(&self, shard: ShardId) -> &Ledger {
        &self.ledgers[usize::from(shard.0)]
    }

    /// The ledgers of the shards' queues, in order.
    pub fn queues(&self) -> &[Ledger] {
        &self.queues
    }

    /// The ledger of the reports that wait for the reporter.
    pub const fn reports(&self) -> &Ledger {
        &self.reports
    }

    /// The ledger of all else that is held outside of shards and their queues.
    pub const fn others(&self) -> &Ledger {
        &self.others
    }

    /// Bytes that are in use, as far as they are counted.
    pub fn used(&self) -> usize {
        let ledgers = self.ledgers.iter().chain(&self.queues);
        let ledgers = ledgers.chain([&self.reports, &self.others]);
        let held: usize = ledgers.map(Ledger::bytes).sum();
        PROCESS_BYTES + self.ledgers.len() * SHARD_BYTES + held
    }

    /// The budget in bytes, where `setting` is what the operator set; 0 is half of what there is.
    pub const fn budget(&self, setting: usize) -> usize {
        match setting {
            0 => self.share,
            bytes => bytes,
        }
    }

    /// How many channels a node may have where no setting says so: as many as a quarter of the
    /// budget has room for.
    pub const fn channels(&self, setting: usize) -> usize {
        self.budget(setting) / 4 / NODE_CHANNEL_BYTES
    }

    /// What one of so many clients may hold while memory is tight, in bytes: their part of half of
    /// the budget.
    pub fn share(&self, setting: usize, clients: usize) -> usize {
        self.budget(setting) / 2 / clients.max(1)
    }

    /// Whether no new client is taken, and whoever makes no progress makes room: three quarters of
    /// the budget are in use.
    pub fn is_tight(&self, setting: usize) -> bool {
        self.used() > self.budget(setting) / 4 * 3
    }

    /// Whether room is made at once, and not with the next look: seven eighths of the budget are in
    /// use. What is left is for what an allocator keeps to itself.
    pub fn is_short(&self, setting: usize) -> bool {
        self.used() > self.budget(setting) / 8 * 7
    }

    /// Whether `shard` has at least its part of what all have.
    pub fn weighs_on(&self, shard: ShardId) -> bool {
        let all: usize = self.ledgers.iter().map(Ledger::bytes).sum();
        self.ledger(shard).bytes() >= all / self.ledgers.len()
    }
}

/// Half of what the process may use at most.
fn share() -> usize {
    available().map_or(UNKNOWN_BYTES, |bytes| bytes / 2)
}

/// What the process may use: what its control groups allow it, or what the machine has.
pub fn available() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(total);
    cgroup::memory_limit().into_iter().chain(machine).min()
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
    fn the_ladder_has_two_steps() {
        let memory = Memory::new(2);
        let idle = memory.used();
        let steps = || (memory.is_tight(2 * idle), memory.is_short(2 * idle));
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
