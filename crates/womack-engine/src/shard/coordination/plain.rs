//! Clients without Engine.IO.

use std::time::Instant;

use womack_ledger::Admitted;
use womack_proto::{Message, NamespaceId};

use crate::{
    context::Speaks,
    shard::{
        Shard,
        clients::kind::Kind,
        io::{socket_id::SocketId, websocket::Inbound, wire::Socket},
    },
    sid::ConnectionId,
};

impl Shard {
    /// Opens a WebSocket that carries no Engine.IO. `early` was read from it already.
    pub fn open_plain(
        &mut self,
        socket: Socket,
        early: &[u8],
        endpoint: u8,
        namespace: NamespaceId,
        admitted: Admitted,
        now: Instant,
    ) {
        self.now = now;
        let name = SocketId::Client(self.connections.next_id());
        let Some(wire) = self.open_wire(socket, name) else {
            return;
        };
        let timing = &self.context.rules.timing;
        let kind = match self.context.endpoints[usize::from(endpoint)].speaks {
            Speaks::Lines => Kind::lines(wire, namespace, timing, now),
            _ => Kind::raw(wire, namespace, timing, now),
        };
        let greets = matches!(kind, Kind::Lines(_));
        let Some(id) = self.open(kind, endpoint, admitted) else {
            return;
        };
        if greets {
            self.greet_with_line(id, namespace);
        }
        self.read_early(name, early);
        self.flush();
    }

    /// Something came in from a client without Engine.IO.
    pub(in crate::shard) fn plain_message(&mut self, id: ConnectionId, message: Inbound) {
        let context = self.context.clone();
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let endpoint = connection.endpoint();
        let Some(plain) = connection.kind_mut().plain_mut() else {
            return;
        };
        plain.handle_sign_of_life(self.now, &context.rules.timing);
        let namespace = plain.namespace();
        let endpoint = &context.endpoints[endpoint];
        self.schedule(id);
        match (&endpoint.speaks, namespace, message) {
            (_, _, Inbound::Pong | Inbound::Reply(_) | Inbound::Closed(..)) => {}
            (Speaks::WebSocket(handler), _, Inbound::Text(text)) => {
                let message = Message::Text(text.as_str().to_owned());
                self.hand_on(id, &**handler, message, None);
            }
            (Speaks::WebSocket(handler), _, Inbound::Binary(data)) => {
                self.hand_on(id, &**handler, Message::Binary(data), None);
            }
            (_, Some(namespace), Inbound::Text(text)) => {
                self.line(id, namespace, Some(text.as_str()));
            }
            (_, Some(namespace), Inbound::Binary(_)) => self.line(id, namespace, None),
            (_, None, _) => {}
        }
    }

    /// Time has passed for a client, which may be one without Engine.IO.
    pub(in crate::shard) fn plain_timeout(&mut self, id: ConnectionId) {
        let connection = self.connections.get_mut(id);
        let Some(plain) = connection.and_then(|found| found.kind_mut().plain_mut()) else {
            return;
        };
        let due = plain.handle_timeout(self.now, &self.context.rules.timing);
        match due {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                self.schedule(id);
                self.send(id, bytes);
            }
            Err(reason) => self.close(id, reason),
        }
    }
}
