//! What sessions say, and what the namespaces' handlers make of it.

use bytes::Bytes;
use womack_proto::{CloseReason, Event, Frame, Message, NamespaceId, Output, socket_io};

use super::Shard;
use crate::namespace::{Action, Client, MessageClient, View};

impl Shard {
    pub(super) fn apply(&mut self, id: u32, output: Output) {
        match output {
            Output::Send(frame) => self.send(id, frame.as_bytes()),
            Output::Connect { namespace, auth } => self.connect(id, namespace, auth.as_deref()),
            Output::Event { namespace, event } => self.event(id, namespace, &event),
            Output::Left(namespace) => {
                self.leave_namespace(id, namespace);
                self.tell_left(id, namespace, CloseReason::ClientDisconnect);
            }
            Output::Message(message) => self.message(id, message),
            Output::Closed(reason) => self.close(id, reason),
            // Nothing that this server sends asks for an acknowledgement.
            _ => {}
        }
    }

    fn connect(&mut self, id: u32, namespace: NamespaceId, auth: Option<&str>) {
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let sid = self
            .namespace_sid(id, connection.secret, namespace)
            .to_string();
        let mut actions = Vec::new();
        let common = self.common.clone();
        let refusal = {
            let channels = self.channels_of(id, namespace);
            let path = &common.registry.get(namespace).path;
            let view = View {
                id: &sid,
                namespace: path,
                auth,
                channels: &channels,
            };
            let mut client = Client::new(view, &mut actions);
            common
                .registry
                .get(namespace)
                .handler
                .on_connect(&mut client)
                .err()
        };
        match refusal {
            None => {
                self.with_session(id, |session, rules, out| {
                    session.accept(namespace, &sid, rules, out)
                });
                self.act(id, namespace, actions);
            }
            Some(refusal) => self.with_session(id, |session, rules, out| {
                session.refuse(
                    namespace,
                    &refusal.message,
                    refusal.data.as_deref(),
                    rules,
                    out,
                );
            }),
        }
    }

    fn event(&mut self, id: u32, namespace: NamespaceId, event: &Event) {
        self.common.metrics.events.inc();
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let sid = self
            .namespace_sid(id, connection.secret, namespace)
            .to_string();
        let mut actions = Vec::new();
        let common = self.common.clone();
        {
            let channels = self.channels_of(id, namespace);
            let path = &common.registry.get(namespace).path;
            let view = View {
                id: &sid,
                namespace: path,
                auth: None,
                channels: &channels,
            };
            let handler = &common.registry.get(namespace).handler;
            handler.on_event(&mut Client::new(view, &mut actions), event);
        }
        self.act(id, namespace, actions);
    }

    fn message(&mut self, id: u32, message: Message) {
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let common = self.common.clone();
        let Some(handler) = &common.endpoints[usize::from(connection.endpoint)].messages else {
            return;
        };
        let mut replies = Vec::new();
        handler.on_message(&mut MessageClient::new(&mut replies), message);
        for reply in replies {
            let frame = match reply {
                Message::Text(text) => Frame::text(&[b"4", text.as_bytes()]),
                Message::Binary(data) => Frame::binary(&data),
            };
            self.send(id, frame.as_bytes());
        }
    }

    /// Does what a handler wants.
    fn act(&mut self, id: u32, namespace: NamespaceId, actions: Vec<Action>) {
        let common = self.common.clone();
        let path = &common.registry.get(namespace).path;
        for action in actions {
            match action {
                Action::Join(channel) => {
                    self.join(id, namespace, &channel);
                }
                Action::Leave(channel) => self.leave(id, namespace, &channel),
                Action::JoinAcknowledged(join) => self.join_acknowledged(id, namespace, *join),
                Action::Emit {
                    name,
                    args,
                    attachments,
                } => {
                    let packet =
                        socket_io::encode_event(path, None, &name, &args, attachments.len());
                    self.send_packet(id, packet.as_ref(), &attachments);
                }
                Action::Acknowledge {
                    ack,
                    args,
                    attachments,
                } => {
                    let packet = socket_io::encode_ack(path, ack, &args, attachments.len());
                    self.send_packet(id, packet.as_ref(), &attachments);
                }
                Action::Disconnect => {
                    self.leave_namespace(id, namespace);
                    self.with_session(id, |session, rules, out| {
                        session.leave(namespace, rules, out)
                    });
                    self.tell_left(id, namespace, CloseReason::ServerDisconnect);
                }
            }
        }
    }

    fn tell_left(&self, id: u32, namespace: NamespaceId, reason: CloseReason) {
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        self.tell_disconnect(id, connection.secret, namespace, reason);
    }

    pub(super) fn tell_disconnect(
        &self,
        id: u32,
        secret: u64,
        namespace: NamespaceId,
        reason: CloseReason,
    ) {
        let sid = self.namespace_sid(id, secret, namespace).to_string();
        let entry = self.common.registry.get(namespace);
        let channels = self.channels_of(id, namespace);
        let view = View {
            id: &sid,
            namespace: &entry.path,
            auth: None,
            channels: &channels,
        };
        // Nothing can be done any more for a client that is gone.
        let mut actions = Vec::new();
        entry
            .handler
            .on_disconnect(&mut Client::new(view, &mut actions), reason);
    }

    pub(super) fn send_packet(&mut self, id: u32, packet: &[u8], attachments: &[Bytes]) {
        self.send(id, Frame::text(&[b"4", packet]).as_bytes());
        for attachment in attachments {
            self.send(id, Frame::binary(attachment).as_bytes());
        }
    }
}
