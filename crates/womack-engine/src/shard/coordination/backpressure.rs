//! Clients that do not take at once what there is for them: what is kept, what makes room, who is
//! closed.

use womack_ledger::Limit;
use womack_proto::CloseReason;

use crate::{
    shard::{
        Shard,
        delivery::{
            egress::LeftOver,
            pending::{Room, Thinned},
        },
    },
    sid::ConnectionId,
};

impl Shard {
    /// Keeps what sockets did not take, and tells of those whose clients read too slowly.
    pub(in crate::shard) fn keep(
        &mut self,
        left_over: Vec<LeftOver>,
        broken: &mut Vec<(ConnectionId, CloseReason)>,
    ) {
        if left_over.is_empty() {
            return;
        }
        let shared = self.egress.share(&left_over);
        let room = Room::of(&self.context.config.limits.load());
        let mut thinned = Thinned::default();
        for LeftOver { id, spans } in left_over {
            let Some(connection) = self.connections.get_mut(id) else {
                continue;
            };
            let before = connection.pending_bytes();
            let stream = connection.kind_mut().event_stream_mut();
            let mut passed = None;
            let is_stream = stream.is_some();
            if stream.is_some_and(|stream| stream.begins(self.egress.batch())) {
                let (gone, limit) = connection.thin(&room, self.now);
                thinned += gone;
                passed = limit;
            }
            for span in spans {
                for (bytes, fate) in self.egress.pieces(span, shared.as_ref()) {
                    let replaced = connection.keep(bytes, fate, self.now, &self.ledger);
                    thinned.replaced += u64::from(replaced);
                }
            }
            let kept = connection.pending_bytes() as i64 - before as i64;
            self.context
                .metrics
                .deliveries
                .client_queue_bytes
                .inc_by(kept);
            if !is_stream {
                self.answer_poll(id);
                passed = self.thin(id, &room);
            }
            if let Some(limit) = passed {
                self.context.metrics.limit(limit);
                broken.push((id, CloseReason::SlowConsumer));
            } else if before == 0 && room.time.is_some() {
                self.schedule(id);
            }
        }
        thinned.count(&self.context.metrics);
    }

    /// Takes away what may go of what waits for a client, until the rest has room. Returns the
    /// limit that is passed all the same.
    fn thin(&mut self, id: ConnectionId, room: &Room) -> Option<Limit> {
        let connection = self.connections.get_mut(id)?;
        let before = connection.pending_bytes();
        let (thinned, passed) = connection.thin(room, self.now);
        let gone = (before - connection.pending_bytes()) as i64;
        if gone > 0 {
            self.context
                .metrics
                .deliveries
                .client_queue_bytes
                .dec_by(gone);
            thinned.count(&self.context.metrics);
        }
        passed
    }

    /// Time has passed for what waits for a client.
    pub(in crate::shard) fn queue_timeout(&mut self, id: ConnectionId) {
        let room = Room::of(&self.context.config.limits.load());
        if room.time.is_none() {
            return;
        }
        if let Some(limit) = self.thin(id, &room) {
            self.context.metrics.limit(limit);
            self.close(id, CloseReason::SlowConsumer);
        }
    }

    /// Makes room in the memory if there is hardly any: the next tick would be too late.
    pub(in crate::shard) fn relieve_at_once(&mut self) {
        let limits = self.context.config.limits.load();
        if self.context.memory.is_short(limits.memory_budget_bytes) {
            self.relieve();
        }
    }

    /// Makes room in the memory, if it is tight: first by what has ended and is still to be written,
    /// then by clients that make no progress, then by those that hold more than their share. Whoever
    /// makes progress within its share stays; newcomers are refused.
    pub(in crate::shard) fn relieve(&mut self) {
        let context = self.context.clone();
        let (memory, limits) = (&context.memory, context.config.limits.load());
        let is_tight = || memory.is_tight(limits.memory_budget_bytes);
        if !is_tight() || !memory.weighs_on(self.ids.shard()) {
            return;
        }
        let count = || context.metrics.limit(Limit::MemoryBudget);
        self.closing_sockets.relieve(is_tight, count);
        let clients = context.admission.sessions();
        let share = memory.share(limits.memory_budget_bytes, clients);
        let mut burdens = self.connections.burdens(share, self.now);
        while is_tight()
            && let Some(id) = burdens.pop()
        {
            count();
            self.close(id, CloseReason::MemoryBudget);
        }
    }

    /// A WebSocket takes bytes again.
    pub(in crate::shard) fn write_pending(&mut self, id: ConnectionId) {
        let connection = self.connections.get_mut(id);
        let Some(taken) = connection.and_then(|found| found.write_pending(self.now)) else {
            return;
        };
        let deliveries = &self.context.metrics.deliveries;
        deliveries.client_queue_bytes.dec_by(taken.gone as i64);
        deliveries.sent_bytes.inc_by(taken.taken as u64);
        deliveries.writes.inc();
        deliveries.spared("expired", taken.expired);
        if taken.result.is_err() {
            self.close(id, CloseReason::TransportError);
        }
    }
}
