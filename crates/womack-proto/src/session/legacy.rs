//! What is different for clients of Socket.IO 0.9.
//!
//! They shake hands before they open a transport, and have no heartbeats over polling: there the
//! polls show that a client lives. So a session waits for a transport, ends a poll that has waited
//! long enough, and waits for the next. A packet for a namespace that its sender is not in is
//! answered with an error and ends nothing, as in the original server.

use std::time::Instant;

use super::{Due, Session, nanos};
use crate::{
    error::CloseReason,
    event::Event,
    handshake::Revision,
    legacy::{Ack, Body, NOOP, Packet},
    output::Output,
    rules::{NamespaceId, Rules},
    socket_io,
};

impl Session {
    /// Handles that a client of Socket.IO 0.9 has opened its WebSocket. Those of other revisions
    /// need not be told about.
    pub fn handle_websocket(&mut self, now: Instant, rules: &Rules) {
        if self.revision == Revision::Legacy && !self.is_closed {
            self.await_due(Due::Ping, now, rules);
        }
    }

    /// Handles that a poll of a client of Socket.IO 0.9 waits. Those of other revisions need not
    /// be told about.
    pub fn handle_poll(&mut self, now: Instant, rules: &Rules) {
        if self.revision == Revision::Legacy && !self.is_closed {
            self.await_due(Due::EndOfPoll, now, rules);
        }
    }

    /// Handles that the poll which waited has been answered, unless the session itself has ended
    /// it. Those of other revisions need not be told about.
    pub fn handle_poll_answered(&mut self, now: Instant, rules: &Rules) {
        if self.revision == Revision::Legacy && !self.is_closed {
            self.await_due(Due::Transport, now, rules);
        }
    }

    /// Ends the poll that waits.
    pub(super) fn end_poll(&mut self, now: Instant, rules: &Rules, out: &mut Vec<Output>) {
        self.await_due(Due::Transport, now, rules);
        out.push(Output::Send(NOOP));
    }

    fn await_due(&mut self, due: Due, now: Instant, rules: &Rules) {
        self.due = due;
        let timing = &rules.timing;
        let wait = match due {
            Due::Ping => timing.ping_interval,
            Due::Client => timing.ping_timeout,
            Due::EndOfPoll => timing.poll_duration,
            Due::Transport => timing.close_timeout,
        };
        self.heartbeat_nanos = self.since_opening(now).saturating_add(nanos(wait));
    }

    pub(super) fn legacy_packet(
        &mut self,
        now: Instant,
        text: &str,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) -> Result<(), CloseReason> {
        let packet = Packet::decode(text)?;
        match packet.body {
            Body::Heartbeat => {
                if matches!(self.due, Due::Ping | Due::Client) {
                    self.await_due(Due::Ping, now, rules);
                }
                return Ok(());
            }
            Body::Error(_) | Body::Noop => return Ok(()),
            Body::Disconnect if packet.namespace == "/" => {
                return Err(CloseReason::ClientDisconnect);
            }
            _ => {}
        }
        let namespace = rules.namespaces.id(packet.namespace);
        let joined = namespace.filter(|&namespace| self.is_joined(namespace));
        match (packet.body, joined) {
            (Body::Connect, None) => {
                let auth =
                    (!packet.query.is_empty()).then(|| socket_io::query_object(packet.query));
                self.connect(packet.namespace, auth, rules, out)?;
            }
            // A client that asks again is told again.
            (Body::Connect, Some(_)) => self.send_connect(packet.namespace, "", out),
            (_, None) => self.send_connect_error(packet.namespace, "", out),
            (Body::Disconnect, Some(namespace)) => {
                self.members.retain(|member| member.namespace != namespace);
                out.push(Output::Left(namespace));
            }
            (Body::Ack { id, args }, Some(namespace)) => out.push(Output::Ack {
                namespace,
                id,
                args: args.to_owned(),
                attachments: Vec::new(),
            }),
            (Body::Event { name, args }, Some(namespace)) => {
                let (name, args) = (name.into_owned(), args.to_owned());
                self.legacy_event(namespace, packet.ack, name, args, rules, out);
            }
            (Body::Message(text), Some(namespace)) => {
                let args = serde_json::to_string(text).expect("every string is JSON");
                self.legacy_event(namespace, packet.ack, "message".into(), args, rules, out);
            }
            (Body::Json(json), Some(namespace)) => {
                let args = json.to_owned();
                self.legacy_event(namespace, packet.ack, "message".into(), args, rules, out);
            }
            (Body::Heartbeat | Body::Error(_) | Body::Noop, Some(_)) => {}
        }
        Ok(())
    }

    fn legacy_event(
        &self,
        namespace: NamespaceId,
        ack: Option<Ack>,
        name: String,
        args: String,
        rules: &Rules,
        out: &mut Vec<Output>,
    ) {
        let ack = match ack {
            Some(Ack::Receipt(id)) => {
                self.send_ack(rules.namespaces.path(namespace), id, "", &[], out);
                None
            }
            Some(Ack::Answer(id)) => Some(id),
            None => None,
        };
        let event = Event {
            name,
            args,
            attachments: Vec::new(),
            ack,
        };
        out.push(Output::Event { namespace, event });
    }
}
