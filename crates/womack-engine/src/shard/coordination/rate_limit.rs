//! Closes clients that have the server do too much.

use womack_proto::CloseReason;

use crate::{
    shard::{Shard, connections::rate_limit::Work},
    sid::ConnectionId,
};

impl Shard {
    /// Counts work for a client, which is closed if it is too much. False then.
    pub(in crate::shard) fn keeps_pace(&mut self, id: ConnectionId, work: Work) -> bool {
        let limits = self.context.config.limits.load();
        let is_limited = limits.max_packets_per_second > 0;
        if !is_limited || self.connections.take_work(id, work, &limits, self.now) {
            return true;
        }
        self.close(id, CloseReason::PacketRate);
        false
    }
}
