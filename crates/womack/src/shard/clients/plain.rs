//! Clients without Engine.IO.

use std::{net::TcpStream, time::Instant};

use womack_proto::{Form, Frame, Message, NamespaceId, Plain, Revision};

use crate::{
    admission::Admitted,
    namespace::{MessageClient, Messages},
    shard::{
        Shard, Speaks,
        connections::connection::{Connection, Protocol, Transport},
        io::wire::Wire,
        token,
    },
    sid::ConnectionId,
    websocket::Inbound,
};

impl Shard {
    /// Opens a WebSocket that carries no Engine.IO. `early` was read from it already.
    pub(crate) fn open_plain(
        &mut self,
        stream: TcpStream,
        early: &[u8],
        (endpoint, namespace): (u8, NamespaceId),
        admitted: Admitted,
        now: Instant,
    ) {
        self.now = now;
        let slot = self.connections.vacant_key();
        let wire = match Wire::open(stream, token(slot, false), &self.poll) {
            Ok(wire) => wire,
            Err(error) => return tracing::debug!(%error, "a WebSocket was gone before it opened"),
        };
        let form = match self.common.endpoints[usize::from(endpoint)].speaks {
            Speaks::Lines => Form::Lines,
            _ => Form::Messages,
        };
        let timing = &self.common.rules.timing;
        let plain = Plain::open(form, namespace, timing, self.now);
        let (transport, protocol) = (Transport::WebSocket(wire), Protocol::Plain(plain));
        let Some(id) = self.open(transport, endpoint, protocol, admitted) else {
            return;
        };
        if form == Form::Lines {
            self.greet_with_line(id, namespace);
        }
        if !early.is_empty() {
            self.decode(id, false, early);
        }
        self.flush();
    }

    /// Something came in from a client without Engine.IO.
    pub(in crate::shard) fn plain_message(
        &mut self,
        id: ConnectionId,
        now: Instant,
        message: Inbound,
    ) {
        let common = self.common.clone();
        let Some(connection) = self.connections.get_mut(id.index()) else {
            return;
        };
        let Protocol::Plain(plain) = &mut connection.protocol else {
            return;
        };
        plain.handle_sign_of_life(now, &common.rules.timing);
        let namespace = plain.namespace();
        let endpoint = &common.endpoints[usize::from(connection.endpoint)];
        self.schedule(id);
        match (&endpoint.speaks, namespace, message) {
            (_, _, Inbound::Pong | Inbound::Reply(_) | Inbound::Closed(..)) => {}
            (Speaks::WebSocket(handler), _, Inbound::Text(text)) => {
                self.hand_on(id, &**handler, Message::Text(text.as_str().to_owned()));
            }
            (Speaks::WebSocket(handler), _, Inbound::Binary(data)) => {
                self.hand_on(id, &**handler, Message::Binary(data));
            }
            (_, Some(namespace), Inbound::Text(text)) => {
                self.line(id, namespace, Some(text.as_str()));
            }
            (_, Some(namespace), Inbound::Binary(_)) => self.line(id, namespace, None),
            (_, None, _) => {}
        }
    }

    fn hand_on(&mut self, id: ConnectionId, handler: &dyn Messages, message: Message) {
        let mut replies = Vec::new();
        handler.on_message(&mut MessageClient::new(&mut replies), message);
        for reply in replies {
            let frame = match reply {
                Message::Text(text) => Frame::text(&[text.as_bytes()]),
                Message::Binary(data) => Frame::binary(Revision::V4, &data),
            };
            self.send(id, frame.as_bytes());
        }
    }

    /// Time has passed for a client, which may be one without Engine.IO.
    pub(in crate::shard) fn plain_timeout(&mut self, id: ConnectionId, now: Instant) {
        let Some(Connection {
            protocol: Protocol::Plain(plain),
            ..
        }) = self.connections.get_mut(id.index())
        else {
            return;
        };
        let due = plain.handle_timeout(now, &self.common.rules.timing);
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
