//! The kinds of faults, and which of them came together.

use std::time::Duration;

use tokio::time::Instant;

/// Two faults are a pair if one begins while the other lasts, or so soon after its end that nodes
/// are still busy with it.
const PAIR: Duration = Duration::from_secs(2);

/// A kind of fault.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Fault {
    /// Connections end.
    Cut,
    /// Connections stay, and answer nothing any more.
    Hang,
    /// Nothing arrives for some time.
    Stall,
    /// Nothing arrives for longer than a node waits for an answer.
    LongStall,
    /// Connections end, and nobody connects for some time.
    Down,
    /// An ACL refuses a channel.
    Refusal,
    /// A server runs a script for too long.
    Busy,
    /// The only server becomes a replica, and a master again.
    Demotion,
    /// A master of the cluster and its replica change places.
    Failover,
    /// A master of the cluster stops; its replica takes its place.
    Crash,
    /// A slot goes to another master of the cluster.
    SlotMove,
    /// The wall clock jumps.
    ClockStep,
    /// A node stops at once, and another takes its place.
    NodeCrash,
    /// A node closes its clients and ends, and another takes its place.
    Drain,
    /// A node has no memory left for new clients, and for those who take nothing of what waits.
    Shortage,
    /// A node has so small a memory budget that clients may hold little.
    SmallBudget,
}

/// The kinds of faults of every run.
pub(super) const COMMON: [Fault; 12] = [
    Fault::Cut,
    Fault::Hang,
    Fault::Stall,
    Fault::LongStall,
    Fault::Down,
    Fault::Refusal,
    Fault::Busy,
    Fault::ClockStep,
    Fault::NodeCrash,
    Fault::Drain,
    Fault::Shortage,
    Fault::SmallBudget,
];

/// How often a kind comes up that only some runs have, where one of every run comes up once: those
/// runs are to have pairs of it as often as pairs of the others.
pub(super) const WEIGHT_OF_SPECIAL: usize = 2;
/// Those of a single server, and those of a cluster.
pub(super) const OF_SINGLE: [Fault; 1] = [Fault::Demotion];
pub(super) const OF_CLUSTER: [Fault; 3] = [Fault::Failover, Fault::Crash, Fault::SlotMove];

impl Fault {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Hang => "hang",
            Self::Stall => "stall",
            Self::LongStall => "long stall",
            Self::Down => "down",
            Self::Refusal => "refusal",
            Self::Busy => "busy",
            Self::Demotion => "demotion",
            Self::Failover => "failover",
            Self::Crash => "crash",
            Self::SlotMove => "slot move",
            Self::ClockStep => "clock step",
            Self::NodeCrash => "node crash",
            Self::Drain => "drain",
            Self::Shortage => "shortage",
            Self::SmallBudget => "small budget",
        }
    }
}

/// The faults that there are, and those that ended a moment ago.
#[derive(Default)]
pub(crate) struct Recent {
    faults: Vec<(u64, Fault, Option<Instant>)>,
    last: u64,
}

impl Recent {
    /// A fault begins. Returns its number, and the kinds of faults with which it is a pair.
    pub(super) fn begin(&mut self, fault: Fault) -> (u64, Vec<Fault>) {
        let now = Instant::now();
        self.faults
            .retain(|(.., ended)| ended.is_none_or(|ended| now - ended < PAIR));
        let others = self.faults.iter().map(|(_, other, _)| *other).collect();
        self.last += 1;
        self.faults.push((self.last, fault, None));
        (self.last, others)
    }

    pub(super) fn end(&mut self, number: u64) {
        if let Some((.., ended)) = self.faults.iter_mut().find(|(it, ..)| *it == number) {
            *ended = Some(Instant::now());
        }
    }
}
