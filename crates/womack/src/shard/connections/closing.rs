//! How connections end.

use std::time::Instant;

use womack_proto::{CloseReason, Frame, payload::Format};

use super::{
    connection::{Connection, Transport},
    recently_closed::Farewell,
};
use crate::{
    ledger::Limit,
    memory,
    shard::{Shard, delivery::round::Outbox, io::wire::Wire},
    sid::ConnectionId,
};

impl Shard {
    /// Ends the connection `id`. There is no second way out.
    pub(in crate::shard) fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        let code = match reason {
            CloseReason::TransportClose | CloseReason::TransportError => None,
            _ => Some(reason.websocket_code()),
        };
        self.close_with(id, reason, code);
    }

    pub(in crate::shard) fn close_with(
        &mut self,
        id: ConnectionId,
        reason: CloseReason,
        code: Option<u16>,
    ) {
        let Some(mut connection) = self.connections.try_remove(id.index()) else {
            return;
        };
        self.wheel.cancel(id);
        self.ages.end(id);
        let address = self.addresses.remove(&id);
        self.common.admission.leave(address);
        self.ledger.release(memory::CLIENT_BYTES);
        if let Some(limit) = limit(reason) {
            self.common.metrics.limit(limit);
        }
        self.common
            .metrics
            .clients
            .closed(connection.transport_label(), reason);
        self.metrics.connections.dec();
        tracing::debug!(
            shard = self.id.0,
            slot = id.0,
            reason = reason.as_str(),
            "session closed"
        );
        self.leave_all(id, &mut connection);
        if let Some(session) = connection.session() {
            for namespace in session.joined() {
                self.tell_disconnect(id, &connection, namespace, reason);
                self.metas.forget(connection.secret, namespace);
            }
        }
        self.common
            .metrics
            .deliveries
            .client_queue_bytes
            .dec_by(connection.outbox.pending_bytes() as i64);
        match connection.transport {
            Transport::WebSocket(wire) => {
                let last = code.map(|code| Frame::close(code, reason.as_str()));
                self.finish(wire, connection.outbox, last, reason);
            }
            Transport::Events(stream) => self.finish_events(&stream, connection.outbox, reason),
            Transport::Polling(polling) => {
                let farewell = match reason {
                    CloseReason::Shutdown | CloseReason::Aged => Some(Farewell::Server),
                    CloseReason::ClientDisconnect if polling.waiting.is_none() => {
                        Some(Farewell::Client(polling.format))
                    }
                    _ => None,
                };
                // Clients of 0.9 that leave ask for nothing more.
                if let Some(farewell) = farewell.filter(|_| polling.format != Format::Legacy) {
                    let now = self.now;
                    self.goodbyes.remember(connection.secret, farewell, now);
                }
                self.answer_last(*polling, connection.outbox, reason);
            }
        }
    }

    /// Writes what is left for a WebSocket and ends it. What its socket does not take at once is
    /// written later, unless the client has read too slowly.
    pub(in crate::shard) fn finish(
        &mut self,
        wire: Wire,
        mut outbox: Outbox,
        last: Option<Frame>,
        reason: CloseReason,
    ) {
        if reason == CloseReason::TransportError {
            return;
        }
        let mut spans = std::mem::take(&mut self.spans);
        self.round.take(&mut outbox, &mut spans);
        for &span in &spans {
            let bytes = self.ledger.share(self.round.bytes(span).to_vec());
            outbox.keep(bytes, &self.ledger, self.now);
        }
        self.spans = spans;
        if let Some(last) = last {
            outbox.keep(last.into_bytes(), &self.ledger, self.now);
        }
        let now = self.now;
        if matches!(
            reason,
            CloseReason::SlowConsumer | CloseReason::MemoryBudget
        ) {
            self.closing_sockets.cut(wire, outbox, now, &self.poll);
        } else {
            self.closing_sockets.add(wire, outbox, now, &self.poll);
        }
        if let Some(deadline) = self.closing_sockets.next_deadline() {
            self.wake_timer(deadline);
        }
    }

    /// Ends the session `id` so that its client opens another, elsewhere perhaps. A client that is
    /// between two polls gets what waits for it, and hears by the first poll that finds nothing more.
    pub(in crate::shard) fn retire(&mut self, id: ConnectionId, reason: CloseReason) {
        let polling = self.polling(id).filter(|found| found.waiting.is_none());
        let Some(polling) = polling else {
            return self.close(id, reason);
        };
        polling.ending = Some(reason);
        // Or something would come for as long as something is published.
        let connection = self.connections.get(id.index());
        let session = connection.and_then(Connection::session);
        let joined: Vec<_> = session.map_or_else(Vec::new, |session| session.joined().collect());
        for namespace in joined {
            self.leave_namespace(id, namespace);
        }
    }

    /// Ends up to `count` sessions because the server stops.
    pub(crate) fn retire_some(&mut self, count: usize, now: Instant) {
        self.now = now;
        let connections = self.connections.iter();
        let staying = connections.filter(|(_, connection)| !connection.is_ending());
        let ids: Vec<_> = staying
            .map(|(id, _)| ConnectionId::at(id))
            .take(count)
            .collect();
        for id in ids {
            self.retire(id, CloseReason::Shutdown);
        }
        self.flush();
    }

    /// How many sessions are not about to end.
    pub(crate) fn staying(&self) -> usize {
        let connections = self.connections.iter();
        let staying = connections.filter(|(_, connection)| !connection.is_ending());
        staying.count()
    }

    /// Closes all sessions because the server ends.
    pub(crate) fn close_all(&mut self, now: Instant) {
        self.now = now;
        let ids: Vec<_> = self
            .connections
            .iter()
            .map(|(id, _)| ConnectionId::at(id))
            .collect();
        for id in ids {
            self.close(id, CloseReason::Shutdown);
        }
        self.flush();
    }
}

/// The limit of the settings that a client has come to that is closed for `reason`, as the metrics
/// name it. Who closes slow consumers knows which of theirs.
const fn limit(reason: CloseReason) -> Option<Limit> {
    match reason {
        CloseReason::PayloadTooLarge => Some(Limit::MaxPayload),
        CloseReason::TooManyPackets => Some(Limit::MaxPacketsPerPayload),
        CloseReason::PacketRate => Some(Limit::MaxPacketsPerSecond),
        CloseReason::ConnectTimeout | CloseReason::HandshakeTimeout => {
            Some(Limit::HandshakeSeconds)
        }
        _ => None,
    }
}
