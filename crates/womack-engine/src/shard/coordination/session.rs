//! What sessions say, and what the namespaces' handlers make of it.

use womack_proto::{CloseReason, Event, Frame, Message, NamespaceId, Output, Revision};

use crate::{
    context::Speaks,
    namespace::{Action, Client, MessageClient, View},
    shard::{Shard, connections::connection::Connection},
    sid::ConnectionId,
};

impl Shard {
    pub(in crate::shard) fn apply(&mut self, id: ConnectionId, output: Output) {
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

    /// The connection `id` and the revision that its session speaks; `None` if it has no session.
    fn session_connection(&self, id: ConnectionId) -> Option<(&Connection, Revision)> {
        let connection = self.connections.get(id)?;
        Some((connection, connection.kind().revision()?))
    }

    fn connect(&mut self, id: ConnectionId, namespace: NamespaceId, auth: Option<&str>) {
        let Some((connection, revision)) = self.session_connection(id) else {
            return;
        };
        let sid = self.client_id(id, connection, namespace);
        let mut actions = Vec::new();
        let context = self.context.clone();
        let refusal = {
            let channels = self.channels_of(id, namespace);
            let path = &context.registry.get(namespace).path;
            let view = View {
                id: &sid,
                revision,
                namespace: path,
                auth,
                meta: None,
                channels: &channels,
            };
            let mut client = Client::new(view, &mut actions);
            context
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

    fn event(&mut self, id: ConnectionId, namespace: NamespaceId, event: &Event) {
        self.context.metrics.clients.events.inc();
        let Some((connection, revision)) = self.session_connection(id) else {
            return;
        };
        let (sid, secret) = (
            self.client_id(id, connection, namespace),
            connection.secret(),
        );
        let mut actions = Vec::new();
        let context = self.context.clone();
        {
            let channels = self.channels_of(id, namespace);
            let path = &context.registry.get(namespace).path;
            let view = View {
                id: &sid,
                revision,
                namespace: path,
                auth: None,
                meta: self.connections.meta(secret, namespace).map(AsRef::as_ref),
                channels: &channels,
            };
            let handler = &context.registry.get(namespace).handler;
            handler.on_event(&mut Client::new(view, &mut actions), event);
        }
        self.act(id, namespace, actions);
    }

    fn message(&mut self, id: ConnectionId, message: Message) {
        let Some((connection, revision)) = self.session_connection(id) else {
            return;
        };
        let context = self.context.clone();
        let endpoint = &context.endpoints[connection.endpoint()];
        let Speaks::EngineIo(handler) = &endpoint.speaks else {
            return;
        };
        let mut replies = Vec::new();
        handler.on_message(&mut MessageClient::new(&mut replies), message);
        for reply in replies {
            let frame = match reply {
                Message::Text(text) => Frame::text(&[b"4", text.as_bytes()]),
                Message::Binary(data) => Frame::binary(revision, &data),
            };
            self.send(id, frame.as_bytes());
        }
    }

    /// Does what a handler wants.
    fn act(&mut self, id: ConnectionId, namespace: NamespaceId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Join(channel, dialect) => {
                    self.join(id, namespace, &channel, dialect);
                }
                Action::Leave(channel) => self.leave(id, namespace, &channel),
                Action::JoinAcknowledged(join) => self.join_acknowledged(id, namespace, *join),
                Action::Emit {
                    name,
                    args,
                    attachments,
                } => self.with_session(id, |session, rules, out| {
                    session.emit(namespace, &name, &args, &attachments, rules, out);
                }),
                Action::Acknowledge {
                    ack,
                    args,
                    attachments,
                } => self.with_session(id, |session, rules, out| {
                    session.acknowledge(namespace, ack, &args, &attachments, rules, out);
                }),
                Action::SetMeta(meta) => self.set_meta(id, namespace, meta),
                Action::Report(data) => self.report_custom(id, namespace, data),
                Action::AcknowledgePresence {
                    channel,
                    ack,
                    unavailable,
                } => self.ask_presence(id, namespace, &channel, ack, unavailable),
                Action::Limit(limit) => self.context.metrics.limit(limit),
                Action::Disconnect => self.disconnect(id, namespace),
            }
        }
    }

    /// Takes a client out of a namespace, and tells it so.
    pub(in crate::shard) fn disconnect(&mut self, id: ConnectionId, namespace: NamespaceId) {
        if self.connections.form(id).is_some() {
            // It is in no other, and cannot be told otherwise.
            return self.close(id, CloseReason::ServerDisconnect);
        }
        self.leave_namespace(id, namespace);
        // Before the session, which may end by it.
        self.tell_left(id, namespace, CloseReason::ServerDisconnect);
        self.with_session(id, |session, rules, out| {
            session.leave(namespace, rules, out)
        });
    }

    fn tell_left(&mut self, id: ConnectionId, namespace: NamespaceId, reason: CloseReason) {
        if let Some(connection) = self.connections.get(id) {
            let secret = connection.secret();
            self.tell_disconnect(id, connection, namespace, reason);
            self.connections.forget_meta(secret, namespace);
        }
    }

    /// Tells a namespace that the client of `connection`, which was in the place `id`, is gone.
    pub(in crate::shard) fn tell_disconnect(
        &self,
        id: ConnectionId,
        connection: &Connection,
        namespace: NamespaceId,
        reason: CloseReason,
    ) {
        let Some(revision) = connection.kind().revision() else {
            return;
        };
        let sid = self.client_id(id, connection, namespace);
        let entry = self.context.registry.get(namespace);
        let channels = self.channels_of(id, namespace);
        let view = View {
            id: &sid,
            revision,
            namespace: &entry.path,
            auth: None,
            meta: self
                .connections
                .meta(connection.secret(), namespace)
                .map(AsRef::as_ref),
            channels: &channels,
        };
        // Nothing can be done any more for a client that is gone.
        let mut actions = Vec::new();
        entry
            .handler
            .on_disconnect(&mut Client::new(view, &mut actions), reason);
    }
}
