//! How connections end.

use std::time::Instant;

use womack_ledger::Limit;
use womack_proto::{CloseReason, Frame, payload::Format};

use crate::{
    shard::{
        Shard,
        clients::{
            kind::{Kind, Transport},
            polling::Polling,
        },
        connections::{recently_closed::Farewell, table::Removed},
        delivery::round::Outbox,
        io::wire::Wire,
    },
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
        let Some(Removed {
            mut connection,
            address,
        }) = self.connections.remove(id)
        else {
            return;
        };
        self.timers.end(id);
        self.context.admission.leave(address);
        let metrics = &self.context.metrics;
        if let Some(limit) = limit(reason) {
            metrics.limit(limit);
        }
        metrics.clients.closed(connection.kind().label(), reason);
        self.metrics.connections.dec();
        tracing::debug!(
            shard = self.ids.shard().0,
            slot = id.0,
            reason = reason.as_str(),
            "session closed"
        );
        self.leave_all(id, &mut connection);
        let secret = connection.secret();
        for namespace in connection.kind().joined() {
            self.tell_disconnect(id, &connection, namespace, reason);
            self.connections.forget_meta(secret, namespace);
        }
        let (kind, outbox) = connection.into_rest();
        let waiting = outbox.pending_bytes() as i64;
        let deliveries = &self.context.metrics.deliveries;
        deliveries.client_queue_bytes.dec_by(waiting);
        let last = code.map(|code| Frame::close(code, reason.as_str()));
        match kind {
            Kind::Session(client) => match client.into_transport() {
                Transport::WebSocket(wire) => self.finish(wire, outbox, last, reason),
                Transport::Polling(polling) => {
                    self.remember_polling(secret, &polling, reason);
                    self.answer_last(*polling, outbox, reason);
                }
            },
            Kind::Lines(client) | Kind::Raw(client) => {
                self.finish(client.into_wire(), outbox, last, reason);
            }
            Kind::EventStream(stream) => self.finish_events(&stream, outbox, reason),
        }
    }

    /// Remembers that a polling session has ended, if something may still come of its client.
    fn remember_polling(&mut self, secret: u64, polling: &Polling, reason: CloseReason) {
        let farewell = match reason {
            CloseReason::Shutdown | CloseReason::Aged => Farewell::Server,
            CloseReason::ClientDisconnect if !polling.is_waiting() => {
                Farewell::Client(polling.format())
            }
            _ => return,
        };
        // Clients of 0.9 that leave ask for nothing more.
        if polling.format() != Format::Legacy {
            self.connections.remember(secret, farewell, self.now);
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
        self.egress.settle(&mut outbox, self.now);
        if let Some(last) = last {
            outbox.keep(last.into_bytes(), &self.ledger, self.now);
        }
        let closing = &mut self.closing_sockets;
        match reason {
            CloseReason::SlowConsumer | CloseReason::MemoryBudget => {
                closing.cut(wire, outbox, self.now, &self.sockets);
            }
            _ => closing.add(wire, outbox, self.now, &self.sockets),
        }
        if let Some(deadline) = closing.next_deadline() {
            self.timers.wake_by(deadline);
        }
    }

    /// Ends the session `id` so that its client opens another, elsewhere perhaps. A client that is
    /// between two polls gets what waits for it, and hears by the first poll that finds nothing
    /// more.
    pub(in crate::shard) fn retire(&mut self, id: ConnectionId, reason: CloseReason) {
        let polling = self.connections.polling_mut(id);
        let Some(polling) = polling.filter(|found| !found.is_waiting()) else {
            return self.close(id, reason);
        };
        polling.end(reason);
        // Or something would come for as long as something is published.
        let connection = self.connections.get(id);
        let joined = connection.map_or_else(Vec::new, |found| found.kind().joined());
        for namespace in joined {
            self.leave_namespace(id, namespace);
        }
    }

    /// Ends up to `count` sessions because the server stops.
    pub fn retire_some(&mut self, count: usize, now: Instant) {
        self.now = now;
        let ids: Vec<_> = self.connections.staying().take(count).collect();
        for id in ids {
            self.retire(id, CloseReason::Shutdown);
        }
        self.flush();
    }

    /// How many sessions are not about to end.
    pub fn staying(&self) -> usize {
        self.connections.staying().count()
    }

    /// Closes all sessions because the server ends.
    pub fn close_all(&mut self, now: Instant) {
        self.now = now;
        for id in self.connections.ids() {
            self.close(id, CloseReason::Shutdown);
        }
        self.flush();
    }

    /// Whether WebSockets that have ended are still open.
    pub const fn has_closing_sockets(&self) -> bool {
        self.closing_sockets.len() > 0
    }
}

/// The limit of the settings that a client has come to that is closed for `reason`, as the metrics
/// name it. Who closes slow consumers knows which of theirs.
const fn limit(reason: CloseReason) -> Option<Limit> {
    match reason {
        CloseReason::PayloadTooLarge => Some(Limit::MaxPayload),
        CloseReason::TooManyPackets => Some(Limit::MaxPacketsPerPayload),
        CloseReason::PacketRate => Some(Limit::MaxPacketsPerSecond),
        CloseReason::ConnectTimeout
        | CloseReason::HandshakeTimeout
        | CloseReason::MessageTimeout
        | CloseReason::AttachmentTimeout => Some(Limit::HandshakeSeconds),
        _ => None,
    }
}
