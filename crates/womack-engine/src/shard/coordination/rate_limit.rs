//! Closes clients that send packets too fast.

use womack_proto::CloseReason;

use crate::{shard::Shard, sid::ConnectionId};

impl Shard {
    /// Counts a packet of a client, which is closed if it sends them too fast. False then.
    pub(in crate::shard) fn keeps_pace(&mut self, id: ConnectionId) -> bool {
        let rate = self.context.config.limits.load().max_packets_per_second;
        if rate == 0 || self.connections.take_packet(id, rate, self.now) {
            return true;
        }
        self.close(id, CloseReason::PacketRate);
        false
    }
}
