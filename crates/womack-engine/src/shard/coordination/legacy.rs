//! Sessions of Socket.IO 0.9, as far as they begin and end in another way.
//!
//! A session is opened by a handshake, without a transport. It counts as polling, with no poll
//! that waits, until a WebSocket is brought to it; what it has to say waits in its outbox.

use std::time::Instant;

use womack_ledger::Admitted;
use womack_proto::{
    CloseReason, Frame, Revision, SessionError, legacy_handshake, payload::Format,
    session_error::NOT_HANDSHAKEN,
};

use crate::{
    shard::{
        Shard,
        delivery::round::Outbox,
        io::{socket_id::SocketId, wire::Socket},
    },
    sid::{ConnectionId, Sid},
};

impl Shard {
    /// Opens a session, and returns the line that tells its client. It offers a transport of
    /// scripts if `scripts` says so.
    ///
    /// # Errors
    /// [`SessionError::Overloaded`] if there is no place for it. [`SessionError::Forbidden`] if the
    /// handler of `/` keeps the client out: without `/` there is no session.
    pub fn shake_hands(
        &mut self,
        endpoint: u8,
        scripts: bool,
        admitted: Admitted,
        now: Instant,
    ) -> Result<String, SessionError> {
        self.now = now;
        let transport = self.polling_transport(Format::Legacy);
        let Some(id) = self.open_session(transport, endpoint, Revision::Legacy, admitted) else {
            return Err(SessionError::Overloaded);
        };
        self.start(id);
        self.flush();
        let Some(connection) = self.connections.get(id) else {
            return Err(SessionError::Forbidden);
        };
        let sid = self.ids.sid(connection.named(id)).to_string();
        let timing = &self.context.rules.timing;
        Ok(legacy_handshake::handshake_line(&sid, timing, scripts))
    }

    /// A WebSocket is to be the transport of the session `sid`. `early` was read from it already.
    pub(in crate::shard) fn attach(&mut self, sid: Sid, socket: Socket, early: &[u8]) {
        let Some(id) = self.find(sid).filter(|&id| self.awaits_transport(id)) else {
            return self.turn_away_unknown(socket, self.now);
        };
        let name = SocketId::Client(id);
        let Some(wire) = self.open_wire(socket, name) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.kind_mut().upgrade(wire);
        }
        self.context.metrics.clients.upgraded();
        let now = self.now;
        self.with_session(id, |session, rules, _| {
            session.handle_websocket(now, rules);
        });
        // What waited since the handshake goes out here.
        self.write_pending(id);
        self.read_early(name, early);
    }

    /// Tells a WebSocket of no session that its client is to shake hands again.
    pub fn turn_away_unknown(&mut self, socket: Socket, now: Instant) {
        self.now = now;
        let mut outbox = Outbox::new();
        let told = Frame::text(&[NOT_HANDSHAKEN.as_bytes()]).into_bytes();
        outbox.keep(told, &self.ledger, now);
        self.turn_away(socket, outbox, "no such session");
    }

    /// The client of the session `sid` says by a request of its own that it is gone.
    pub(in crate::shard) fn goodbye(&mut self, sid: Sid) {
        if let Some(id) = self.find(sid) {
            self.close(id, CloseReason::ClientDisconnect);
        }
    }

    fn awaits_transport(&self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get(id) else {
            return false;
        };
        let polling = connection.kind().polling();
        let is_free =
            polling.is_some_and(|polling| !polling.is_waiting() && polling.ending().is_none());
        connection.kind().revision() == Some(Revision::Legacy) && is_free
    }
}
