//! Input: from a shard's sockets to its clients.

use std::time::Instant;

use womack_proto::CloseReason;

use crate::{
    shard::{
        Shard,
        connections::rate_limit::Work,
        io::{
            ingress::{Progress, READS_AT_ONCE},
            socket_event::SocketEvent,
            socket_id::SocketId,
            websocket::Inbound,
            wire::{Socket, Wire},
        },
    },
    sid::ConnectionId,
};

impl Shard {
    /// Sockets are ready.
    pub fn ready(&mut self, events: impl IntoIterator<Item = SocketEvent>, now: Instant) {
        self.now = now;
        self.ingress.begin_turn();
        for event in events {
            match event.socket {
                SocketId::Closing(key) => {
                    let buffer = self.ingress.scratch();
                    self.closing_sockets.ready(key, buffer, &self.sockets);
                    continue;
                }
                SocketId::Client(id) if event.is_writable => self.write_pending(id),
                SocketId::Client(_) | SocketId::Probe(_) | SocketId::Nobody => {}
            }
            if event.is_readable || event.ends {
                self.read(event.socket, event.ends);
            }
        }
        self.flush();
    }

    /// Whether sockets have more than was read at one go. They say nothing by themselves.
    pub const fn has_unread(&self) -> bool {
        self.ingress.has_unread()
    }

    /// Goes on reading where more was there.
    pub fn read_unread(&mut self, now: Instant) {
        self.now = now;
        self.ingress.begin_turn();
        for socket in self.ingress.take_unread() {
            self.read(socket, true);
        }
        self.flush();
    }

    /// Makes a wire of a socket, unless it is gone already.
    pub(in crate::shard) fn open_wire(&self, socket: Socket, id: SocketId) -> Option<Wire> {
        match self.sockets.open(socket, id) {
            Ok(wire) => Some(wire),
            Err(error) => {
                tracing::debug!(%error, "a WebSocket was gone before it opened");
                None
            }
        }
    }

    /// Reads what the WebSocket that is to be the transport of `id` has, if there is one.
    pub(in crate::shard) fn read_probe(&mut self, id: ConnectionId) {
        // However much was read before: what it has counts for the poll that has come.
        self.ingress.begin_turn();
        self.read(SocketId::Probe(id), false);
    }

    /// Takes what was read from a socket before it came here.
    pub(in crate::shard) fn read_early(&mut self, socket: SocketId, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut inbound = self.ingress.lend();
        if let Some(wire) = self.connections.wire_mut(socket) {
            self.ingress.decode(wire, bytes, self.now, &mut inbound);
        }
        self.handle_inbound(socket, &mut inbound);
        self.ingress.give_back(inbound);
        self.expect_message(socket);
    }

    /// Reads what a socket has, to its end if that is known to be there, unless the turn is over:
    /// then it is read in the next. An event that was for an
    /// earlier connection in the same place finds nothing to read.
    pub(in crate::shard) fn read(&mut self, socket: SocketId, to_end: bool) {
        for _ in 0..READS_AT_ONCE {
            if self.ingress.has_read_enough() {
                break;
            }
            let Some(wire) = self.connections.wire_mut(socket) else {
                return;
            };
            let mut inbound = self.ingress.lend();
            let progress = self.ingress.read(wire, to_end, self.now, &mut inbound);
            self.handle_inbound(socket, &mut inbound);
            self.ingress.give_back(inbound);
            self.expect_message(socket);
            self.flush_if_full();
            match progress {
                Progress::Empty => return,
                Progress::More => {}
                Progress::Ended => return self.end(socket, CloseReason::TransportClose),
                Progress::Broken => return self.end(socket, CloseReason::TransportError),
            }
        }
        self.ingress.postpone(socket);
    }

    /// Notes when the rest of a message has to come, if one is incomplete. That of a WebSocket that
    /// is still to become a transport has no more time than that has.
    fn expect_message(&mut self, socket: SocketId) {
        // What was to become the transport of its session may be it by now.
        let (SocketId::Client(id) | SocketId::Probe(id)) = socket else {
            return;
        };
        let wire = self.connections.wire_mut(SocketId::Client(id));
        if wire.is_some_and(|wire| wire.message_deadline().is_some()) {
            self.schedule(id);
        }
    }

    fn end(&mut self, socket: SocketId, reason: CloseReason) {
        match socket {
            SocketId::Client(id) => self.close(id, reason),
            SocketId::Probe(id) => self.drop_probe(id),
            SocketId::Closing(_) | SocketId::Nobody => {}
        }
    }

    /// Messages came in on a WebSocket.
    fn handle_inbound(&mut self, socket: SocketId, inbound: &mut Vec<Inbound>) {
        let mut socket = socket;
        // A probe belongs to a session, so what it becomes is not plain.
        let is_plain =
            matches!(socket, SocketId::Client(id) if self.connections.form(id).is_some());
        for inbound in inbound.drain(..) {
            match socket {
                SocketId::Client(id) => {
                    if !self.handle_message(id, inbound, is_plain) {
                        return;
                    }
                }
                SocketId::Probe(id) => {
                    if self.probe_inbound(id, inbound) {
                        socket = SocketId::Client(id);
                    }
                }
                SocketId::Closing(_) | SocketId::Nobody => return,
            }
        }
    }

    /// Something came in from a client. False if nothing that follows counts.
    fn handle_message(&mut self, id: ConnectionId, inbound: Inbound, is_plain: bool) -> bool {
        let now = self.now;
        let is_end = matches!(inbound, Inbound::Closed(..));
        if !is_end && !self.keeps_pace(id, Work::Packet(inbound.len())) {
            return false;
        }
        match inbound {
            Inbound::Reply(frame) => self.send(id, &frame),
            Inbound::Closed(reason, code) => self.close_with(id, reason, code),
            message if is_plain => self.plain_message(id, message),
            Inbound::Text(text) => self.with_session(id, |session, rules, out| {
                session.handle_text(now, text.as_str(), rules, out);
            }),
            Inbound::Binary(data) => self.with_session(id, |session, rules, out| {
                session.handle_binary(now, data, rules, out);
            }),
            // Engine.IO has heartbeats of its own.
            Inbound::Pong => {}
        }
        true
    }
}
