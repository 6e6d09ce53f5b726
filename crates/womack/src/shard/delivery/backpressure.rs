//! Clients that do not take at once what there is for them: what is kept, what makes room, who is
//! closed.

use std::time::{Duration, Instant};

use womack_proto::CloseReason;

use super::{
    pending::{Room, Thinned},
    round::Spans,
};
use crate::{
    ledger::Limit,
    shard::{Shard, connections::connection::Transport},
    sid::ConnectionId,
};

impl Shard {
    /// Keeps what sockets did not take. Few bytes are copied, so that a slow client does not hold
    /// a whole round in memory; many are shared by all who still need them.
    pub(in crate::shard) fn keep(
        &mut self,
        left_over: Vec<(ConnectionId, Spans)>,
        broken: &mut Vec<(ConnectionId, CloseReason)>,
    ) {
        if left_over.is_empty() {
            return;
        }
        let total: usize = left_over
            .iter()
            .flat_map(|(_, spans)| spans)
            .map(|span| span.len())
            .sum();
        let shared = (total > self.round.len()).then(|| self.round.freeze(&self.ledger));
        let room = Room::of(&self.common.config.limits.load());
        let (batch, now) = (self.batch, self.now);
        let mut thinned = Thinned::default();
        for (id, spans) in left_over {
            let Some(connection) = self.connections.get_mut(id.index()) else {
                continue;
            };
            let before = connection.pending_bytes();
            let mut passed = None;
            if let Transport::Events(stream) = &mut connection.transport
                && stream.begins(batch)
            {
                let (gone, limit) = connection.thin(&room, now);
                thinned += gone;
                passed = limit;
            }
            for span in spans {
                let bytes = match &shared {
                    Some(shared) => shared.slice(span.start as usize..span.end as usize),
                    None => self.ledger.share(self.round.bytes(span).to_vec()),
                };
                for (piece, fate) in self.round.pieces(span) {
                    let (start, end) = (piece.start - span.start, piece.end - span.start);
                    let bytes = bytes.slice(start as usize..end as usize);
                    let replaced = connection.keep(bytes, fate, now, &self.ledger);
                    thinned.replaced += u64::from(replaced);
                }
            }
            let kept = connection.pending_bytes() as i64 - before as i64;
            self.common
                .metrics
                .deliveries
                .client_queue_bytes
                .inc_by(kept);
            match connection.transport {
                Transport::Events(_) => {}
                Transport::WebSocket(_) => passed = self.thin(id, &room, now),
                Transport::Polling(_) => {
                    self.answer_poll(id);
                    passed = self.thin(id, &room, now);
                }
            }
            if let Some(limit) = passed {
                self.common.metrics.limit(limit);
                broken.push((id, CloseReason::SlowConsumer));
            } else if before == 0 && room.time.is_some() {
                self.schedule(id);
            }
        }
        thinned.count(&self.common.metrics);
    }

    /// Takes away what may go of what waits for a client, until the rest has room. Returns the
    /// limit that is passed all the same.
    fn thin(&mut self, id: ConnectionId, room: &Room, now: Instant) -> Option<Limit> {
        let connection = self.connections.get_mut(id.index())?;
        let before = connection.pending_bytes();
        let (thinned, passed) = connection.thin(room, now);
        let gone = (before - connection.pending_bytes()) as i64;
        if gone > 0 {
            self.common
                .metrics
                .deliveries
                .client_queue_bytes
                .dec_by(gone);
            thinned.count(&self.common.metrics);
        }
        passed
    }

    /// Time has passed for what waits for a client.
    pub(in crate::shard) fn queue_timeout(&mut self, id: ConnectionId, now: Instant) {
        let room = Room::of(&self.common.config.limits.load());
        if room.time.is_none() {
            return;
        }
        if let Some(limit) = self.thin(id, &room, now) {
            self.common.metrics.limit(limit);
            self.close(id, CloseReason::SlowConsumer);
        }
    }

    /// When something must be done about what waits for a client.
    pub(in crate::shard) fn queue_deadline(&self, id: ConnectionId) -> Option<Instant> {
        let time = self.common.config.limits.load().max_client_queue_time?;
        let oldest = self.connections.get(id.index())?.oldest()?;
        // The limit is what is beyond, and time has grains.
        Some(oldest + time + Duration::from_millis(1))
    }

    /// Closes the clients for whom most waits, until the memory has room.
    pub(in crate::shard) fn relieve(&mut self) {
        let common = self.common.clone();
        let (memory, limits) = (&common.memory, common.config.limits.load());
        if !memory.is_short(&limits) || !memory.weighs_on(self.id) {
            return;
        }
        self.relieve_closing_sockets();
        let weights = self.connections.iter().map(|(id, connection)| {
            let weight = connection.pending_bytes() + connection.partial_bytes();
            (weight, ConnectionId::at(id))
        });
        let mut heaviest: Vec<_> = weights.filter(|(weight, _)| *weight > 0).collect();
        heaviest.sort_unstable();
        while memory.is_tight(&limits)
            && let Some((_, id)) = heaviest.pop()
        {
            common.metrics.limit(Limit::MemoryBudget);
            self.close(id, CloseReason::MemoryBudget);
        }
    }

    /// A WebSocket takes bytes again.
    pub(in crate::shard) fn write_pending(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.index()) else {
            return;
        };
        let Transport::WebSocket(wire) = &mut connection.transport else {
            return;
        };
        let Some(pending) = &mut connection.outbox.pending else {
            return;
        };
        let before = pending.len();
        let expired = pending.expire(self.now);
        let waiting = pending.len();
        let done = pending.write_to(wire);
        let left = pending.len();
        if matches!(done, Ok(true)) {
            connection.outbox.pending = None;
        }
        let metrics = &self.common.metrics;
        metrics
            .deliveries
            .client_queue_bytes
            .dec_by((before - left) as i64);
        metrics
            .deliveries
            .sent_bytes
            .inc_by((waiting - left) as u64);
        metrics.deliveries.writes.inc();
        metrics.deliveries.spared("expired", expired);
        if done.is_err() {
            self.close(id, CloseReason::TransportError);
        }
    }
}
