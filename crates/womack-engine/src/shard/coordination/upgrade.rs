//! A polling session becomes a WebSocket session.
//!
//! The client opens a WebSocket with its session id and sends `2probe`; the server answers
//! `3probe` and ends the poll that waits, so that the client stops polling. Until the client's `5`
//! comes, polls are answered as before and nothing else is written to the WebSocket.

use bytes::Bytes;
use womack_ledger::Limit;
use womack_proto::{CloseReason, Frame, payload::Format};

use crate::{
    shard::{
        Shard,
        clients::upgrade::Probe,
        delivery::round::Outbox,
        io::{socket_id::SocketId, websocket::Inbound, wire::Socket},
    },
    sid::{ConnectionId, Sid},
};

impl Shard {
    /// A WebSocket asks to become the transport of the session `sid`.
    pub(in crate::shard) fn probe(&mut self, sid: Sid, socket: Socket, early: &[u8]) {
        let found = self.find(sid);
        let free = found.filter(|&id| {
            let polling = self.connections.polling_mut(id);
            polling.is_some_and(|polling| {
                polling.probe().is_none() && polling.format() != Format::Legacy
            })
        });
        let Some(id) = free else {
            // The session has its WebSocket, or is gone: the newcomer is told to go.
            return self.turn_away(socket, Outbox::new(), "session has a transport");
        };
        let name = SocketId::Probe(id);
        let Some(wire) = self.open_wire(socket, name) else {
            return;
        };
        let deadline = self.now + self.context.config.handshake_timeout;
        if let Some(polling) = self.connections.polling_mut(id) {
            polling.begin_probe(Probe::new(wire, deadline));
        }
        self.schedule(id);
        self.read_early(name, early);
    }

    /// The same over a socket in memory, which no queue between threads can bring.
    #[cfg(feature = "simulation")]
    pub fn probe_in_memory(
        &mut self,
        sid: Sid,
        socket: crate::shard::MemorySocket,
        now: std::time::Instant,
    ) {
        self.now = now;
        self.probe(sid, Socket::Memory(socket), &[]);
        self.flush();
    }

    /// Ends a WebSocket that belongs to no connection, after what `outbox` has for it.
    pub(in crate::shard) fn turn_away(&mut self, socket: Socket, outbox: Outbox, why: &str) {
        if let Some(wire) = self.open_wire(socket, SocketId::Nobody) {
            let reason = CloseReason::ServerDisconnect;
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
                probe.answered();
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
        let Some(connection) = self.connections.get_mut(id) else {
            return false;
        };
        let Some(polling) = connection.kind_mut().polling_mut() else {
            return false;
        };
        if let Some(reason) = polling.ending() {
            self.close(id, reason);
            return false;
        }
        let probe = polling.take_probe().filter(Probe::is_answered);
        let wire = probe.and_then(|probe| {
            let mut wire = probe.into_wire();
            let renamed = self.sockets.rename(&mut wire, SocketId::Client(id));
            renamed.is_ok().then_some(wire)
        });
        let Some(wire) = wire else {
            self.schedule(id);
            return false;
        };
        connection.kind_mut().upgrade(wire);
        self.context.metrics.clients.upgraded();
        self.schedule(id);
        // What waited for the next poll goes out here.
        self.write_pending(id);
        true
    }

    /// Ends a WebSocket that did not become the transport; the session goes on by polling.
    pub(in crate::shard) fn drop_probe(&mut self, id: ConnectionId) {
        let polling = self.connections.polling_mut(id);
        let Some(probe) = polling.and_then(|polling| polling.take_probe()) else {
            return;
        };
        let reason = CloseReason::ServerDisconnect;
        let last = Frame::close(reason.websocket_code(), "no upgrade");
        self.finish(probe.into_wire(), Outbox::new(), Some(last), reason);
        self.schedule(id);
    }

    /// Time has passed for the probe of `id`.
    pub(in crate::shard) fn probe_timeout(&mut self, id: ConnectionId) {
        let now = self.now;
        let Some(probe) = self.probe_mut(id) else {
            return;
        };
        if probe.is_over(now) {
            self.context.metrics.limit(Limit::HandshakeSeconds);
            return self.drop_probe(id);
        }
        if probe.takes_noop(now) {
            self.answer_noop(id);
        }
    }

    /// A poll that comes while a probe has been answered is not kept waiting.
    pub(in crate::shard) fn end_poll_soon(&mut self, id: ConnectionId) {
        let now = self.now;
        let Some(probe) = self.probe_mut(id) else {
            return;
        };
        if probe.end_poll_soon(now) {
            self.schedule(id);
        }
    }

    fn write_to_probe(&mut self, id: ConnectionId, frame: &[u8]) {
        let now = self.now;
        let mut outbox = Outbox::new();
        outbox.keep(Bytes::copy_from_slice(frame), &self.ledger, now);
        let Some(probe) = self.probe_mut(id) else {
            return;
        };
        let written = outbox.take_pending(now, |pending| pending.write_to(probe.wire_mut()));
        // A fresh socket that does not take a few bytes is of no use.
        if !written.is_none_or(|written| matches!(written.result, Ok(true))) {
            self.drop_probe(id);
        }
    }

    fn probe_mut(&mut self, id: ConnectionId) -> Option<&mut Probe> {
        self.connections.polling_mut(id)?.probe_mut()
    }
}
