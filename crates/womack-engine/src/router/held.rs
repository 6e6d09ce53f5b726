//! Deliveries that are held back for the time of `--coalesce-ms`.

use std::time::Instant;

use womack_ledger::ShardId;

use crate::command::ToShard;

/// Bytes that are held back before they go out although their time has not come.
const MOST_HELD_BYTES: usize = 4 << 20;

/// Deliveries that are held back, in their order, so that each client is written to once for all.
#[derive(Default)]
pub(super) struct Held {
    deliveries: Vec<(ShardId, ToShard)>,
    bytes: usize,
    until: Option<Instant>,
}

impl Held {
    /// Holds a delivery back that came at `now`, until then or until too much is held back.
    pub(super) fn push(&mut self, delivery: HeldDelivery, until: Instant, now: Instant) {
        let HeldDelivery {
            shard,
            command,
            bytes,
        } = delivery;
        self.deliveries.push((shard, command));
        self.bytes += bytes;
        let until = if self.bytes > MOST_HELD_BYTES {
            now
        } else {
            until
        };
        self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
    }

    /// Takes all of them.
    pub(super) fn take(&mut self) -> Vec<(ShardId, ToShard)> {
        std::mem::take(self).deliveries
    }

    /// When the deliveries are to go out.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }
}

/// A delivery that is held back.
pub(super) struct HeldDelivery {
    pub(super) shard: ShardId,
    pub(super) command: ToShard,
    pub(super) bytes: usize,
}
