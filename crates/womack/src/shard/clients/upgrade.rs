//! A polling session becomes a WebSocket session.
//!
//! The client opens a WebSocket with its session id and sends `2probe`; the server answers
//! `3probe` and ends the poll that waits, so that the client stops polling. Until the client's `5`
//! comes, polls are answered as before and nothing else is written to the WebSocket.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use bytes::Bytes;
use womack_proto::{Frame, payload::Format};

use crate::{
    ledger::Limit,
    shard::{
        Shard,
        connections::connection::{Connection, Probe, Transport},
        delivery::round::Outbox,
        io::wire::Wire,
        token,
    },
    sid::{ConnectionId, Sid},
    websocket::Inbound,
};

/// How long a poll may wait while a probe that was answered has not become the transport yet.
const POLL_DURING_PROBE: Duration = Duration::from_millis(50);

impl Shard {
    /// A WebSocket asks to become the transport of the session `sid`.
    pub(in crate::shard) fn probe(&mut self, sid: Sid, stream: TcpStream, early: &[u8]) {
        let found = self.find(sid);
        let free = found.filter(|&id| {
            self.polling(id)
                .is_some_and(|polling| polling.probe.is_none() && polling.format != Format::Legacy)
        });
        let Some(id) = free else {
            // The session has its WebSocket, or is gone: the newcomer is told to go.
            return self.turn_away(stream, Outbox::new(), "session has a transport");
        };
        let wire = match Wire::open(stream, token(id.index(), true), &self.poll) {
            Ok(wire) => wire,
            Err(error) => return tracing::debug!(%error, "a WebSocket was gone before it opened"),
        };
        let deadline = self.now + self.common.config.handshake_timeout;
        if let Some(polling) = self.polling(id) {
            polling.probe = Some(Probe {
                wire,
                answered: false,
                deadline,
                noop_at: None,
            });
        }
        self.schedule(id);
        if !early.is_empty() {
            self.decode(id, true, early);
        }
    }

    /// Ends a WebSocket that belongs to no connection, after what `outbox` has for it.
    pub(in crate::shard) fn turn_away(&mut self, stream: TcpStream, outbox: Outbox, why: &str) {
        // The token of no connection: nobody listens to this stream's events.
        if let Ok(wire) = Wire::open(stream, token(usize::MAX >> 2, false), &self.poll) {
            let reason = womack_proto::CloseReason::ServerDisconnect;
            self.finish(wire, outbox, Some(Frame::close(1008, why)), reason);
        }
    }

    /// Something came in on the probe of `id`. True when the probe has become the transport.
    pub(in crate::shard) fn probe_inbound(&mut self, id: ConnectionId, inbound: Inbound) -> bool {
        match inbound {
            Inbound::Text(text) if text.as_str() == "2probe" => {
                self.write_to_probe(id, Frame::text(&[b"3probe"]).as_bytes());
                let Some(probe) = self.probe_mut(id) else {
                    return false;
                };
                probe.answered = true;
                self.answer_noop(id);
            }
            Inbound::Text(text) if text.as_str() == "5" => return self.upgrade(id),
            Inbound::Reply(frame) => self.write_to_probe(id, &frame),
            Inbound::Pong => {}
            Inbound::Text(_) | Inbound::Binary(_) | Inbound::Closed(..) => self.drop_probe(id),
        }
        false
    }

    fn upgrade(&mut self, id: ConnectionId) -> bool {
        // The poll that still waits goes first: it belongs to the transport that ends here.
        self.answer_noop(id);
        let Some(connection) = self.connections.get_mut(id.index()) else {
            return false;
        };
        let Transport::Polling(polling) = &mut connection.transport else {
            return false;
        };
        if let Some(reason) = polling.ending {
            self.close(id, reason);
            return false;
        }
        let Some(Probe {
            mut wire,
            answered: true,
            ..
        }) = polling.probe.take()
        else {
            self.schedule(id);
            return false;
        };
        if wire.rename(token(id.index(), false), &self.poll).is_err() {
            self.schedule(id);
            return false;
        }
        connection.transport = Transport::WebSocket(wire);
        self.common.metrics.clients.upgraded();
        self.schedule(id);
        // What waited for the next poll goes out here.
        self.write_pending(id);
        true
    }

    /// Ends a WebSocket that did not become the transport; the session goes on by polling.
    pub(in crate::shard) fn drop_probe(&mut self, id: ConnectionId) {
        let Some(probe) = self.polling(id).and_then(|polling| polling.probe.take()) else {
            return;
        };
        let reason = womack_proto::CloseReason::ServerDisconnect;
        let last = Frame::close(reason.websocket_code(), "no upgrade");
        self.finish(probe.wire, Outbox::new(), Some(last), reason);
        self.schedule(id);
    }

    /// Time has passed for the probe of `id`.
    pub(in crate::shard) fn probe_timeout(&mut self, id: ConnectionId, now: Instant) {
        let Some(probe) = self.probe_mut(id) else {
            return;
        };
        if probe.deadline <= now {
            self.common.metrics.limit(Limit::HandshakeSeconds);
            return self.drop_probe(id);
        }
        if probe.noop_at.is_some_and(|at| at <= now) {
            probe.noop_at = None;
            self.answer_noop(id);
        }
    }

    /// A poll that comes while a probe has been answered is not kept waiting.
    pub(in crate::shard) fn end_poll_soon(&mut self, id: ConnectionId) {
        let now = self.now;
        let Some(probe) = self.probe_mut(id) else {
            return;
        };
        if probe.answered {
            probe.noop_at = Some(now + POLL_DURING_PROBE);
            self.schedule(id);
        }
    }

    fn write_to_probe(&mut self, id: ConnectionId, frame: &[u8]) {
        let mut outbox = Outbox::new();
        outbox.keep(Bytes::copy_from_slice(frame), &self.ledger, self.now);
        let Some(probe) = self.probe_mut(id) else {
            return;
        };
        let written = outbox
            .pending
            .map_or(Ok(true), |mut pending| pending.write_to(&mut probe.wire));
        // A fresh socket that does not take a few bytes is of no use.
        if !matches!(written, Ok(true)) {
            self.drop_probe(id);
        }
    }

    fn probe_mut(&mut self, id: ConnectionId) -> Option<&mut Probe> {
        let Connection {
            transport: Transport::Polling(polling),
            ..
        } = self.connections.get_mut(id.index())?
        else {
            return None;
        };
        polling.probe.as_mut()
    }
}
