//! Clients without Engine.IO.

use std::{net::TcpStream, time::Instant};

use womack_proto::{Frame, Message, Plain, Revision};

use super::{
    Shard, Speaks,
    connection::{Connection, Protocol, Transport},
    token,
    wire::Wire,
};
use crate::{namespace::MessageClient, websocket::Inbound};

impl Shard {
    /// Opens a WebSocket that carries no Engine.IO. `early` was read from it already.
    pub(crate) fn open_plain(&mut self, stream: TcpStream, early: &[u8], endpoint: u8) {
        let slot = self.connections.vacant_key();
        let wire = match Wire::open(stream, token(slot, false), &self.poll) {
            Ok(wire) => wire,
            Err(error) => return tracing::debug!(%error, "a WebSocket was gone before it opened"),
        };
        let plain = Plain::open(&self.common.rules.timing, Instant::now());
        let Some(id) = self.open(Transport::WebSocket(wire), endpoint, Protocol::Plain(plain))
        else {
            return;
        };
        if !early.is_empty() {
            self.decode(id, false, early);
        }
        self.flush();
    }

    /// Something came in from a client without Engine.IO.
    pub(super) fn plain_message(&mut self, id: u32, now: Instant, message: Inbound) {
        let common = self.common.clone();
        let Some(connection) = self.connections.get_mut(id as usize) else {
            return;
        };
        let Protocol::Plain(plain) = &mut connection.protocol else {
            return;
        };
        plain.handle_sign_of_life(now, &common.rules.timing);
        let endpoint = &common.endpoints[usize::from(connection.endpoint)];
        self.schedule(id);
        let message = match message {
            Inbound::Text(text) => Message::Text(text.as_str().to_owned()),
            Inbound::Binary(data) => Message::Binary(data),
            Inbound::Pong | Inbound::Reply(_) | Inbound::Closed(..) => return,
        };
        let Speaks::WebSocket(handler) = &endpoint.speaks else {
            return;
        };
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
    pub(super) fn plain_timeout(&mut self, id: u32, now: Instant) {
        let Some(Connection {
            protocol: Protocol::Plain(plain),
            ..
        }) = self.connections.get_mut(id as usize)
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
