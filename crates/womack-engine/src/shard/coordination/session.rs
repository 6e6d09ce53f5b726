//! What sessions say, and what the namespaces' handlers make of it.

use womack_proto::{CloseReason, Event, Frame, Message, NamespaceId, Output, Revision};

use crate::{
    context::Speaks,
    namespace::{Action, Client, MessageClient, Messages, Namespace, View},
    shard::{
        Shard,
        connections::{connection::Connection, rate_limit::Work},
    },
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

    fn connect(&mut self, id: ConnectionId, namespace: NamespaceId, auth: Option<&str>) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let connected = self.call_handler(id, connection, namespace, auth, |handler, client| {
            let sid = client.id().to_owned();
            handler.on_connect(client).map(|()| sid)
        });
        match connected {
            None => {}
            Some((Ok(sid), actions)) => {
                self.with_session(id, |session, rules, out| {
                    session.accept(namespace, &sid, rules, out)
                });
                self.act(id, namespace, actions);
            }
            Some((Err(refusal), _)) => self.with_session(id, |session, rules, out| {
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
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let handled = self.call_handler(id, connection, namespace, None, |handler, client| {
            handler.on_event(client, event);
        });
        if let Some(((), actions)) = handled {
            self.act(id, namespace, actions);
        }
    }

    /// Calls the handler of a namespace with the client of `connection`, which is or was in the
    /// place `id`. Returns the handler's result and what it wants done; `None` if the client has no
    /// session.
    fn call_handler<R>(
        &self,
        id: ConnectionId,
        connection: &Connection,
        namespace: NamespaceId,
        auth: Option<&str>,
        call: impl FnOnce(&dyn Namespace, &mut Client<'_>) -> R,
    ) -> Option<(R, Vec<Action>)> {
        let revision = connection.kind().revision()?;
        let entry = self.context.registry.get(namespace);
        let meta = self.connections.meta(connection.secret(), namespace);
        let view = View {
            id: &self.client_id(id, connection, namespace),
            revision,
            namespace: &entry.path,
            auth,
            meta: meta.map(AsRef::as_ref),
            channels: &self.channels_of(id, namespace),
        };
        let mut actions = Vec::new();
        let result = call(&*entry.handler, &mut Client::new(view, &mut actions));
        Some((result, actions))
    }

    fn message(&mut self, id: ConnectionId, message: Message) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let revision = connection.kind().revision();
        let context = self.context.clone();
        let endpoint = &context.endpoints[connection.endpoint()];
        if let Speaks::EngineIo(handler) = &endpoint.speaks {
            self.hand_on(id, &**handler, message, revision);
        }
    }

    /// Hands a message to the handler of its endpoint, and sends the replies: as packets to a
    /// session, which has a revision, and as they are to others.
    pub(in crate::shard) fn hand_on(
        &mut self,
        id: ConnectionId,
        handler: &dyn Messages,
        message: Message,
        revision: Option<Revision>,
    ) {
        let packet_type: &[u8] = if revision.is_some() { b"4" } else { b"" };
        let mut replies = Vec::new();
        handler.on_message(&mut MessageClient::new(&mut replies), message);
        for reply in replies {
            let frame = match reply {
                Message::Text(text) => Frame::text(&[packet_type, text.as_bytes()]),
                Message::Binary(data) => Frame::binary(revision.unwrap_or(Revision::V4), &data),
            };
            self.send(id, frame.as_bytes());
        }
    }

    /// Does what a handler wants.
    fn act(&mut self, id: ConnectionId, namespace: NamespaceId, actions: Vec<Action>) {
        for action in actions {
            if let Some(work) = self.work_of(id, namespace, &action)
                && !self.keeps_pace(id, work)
            {
                return;
            }
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

    /// The work of doing what a handler wants for a client, beside the packet that has asked for it.
    fn work_of(&self, id: ConnectionId, namespace: NamespaceId, action: &Action) -> Option<Work> {
        match action {
            Action::Join(..) | Action::Leave(_) => Some(Work::Channels(1)),
            Action::JoinAcknowledged(join) => Some(Work::Channels(join.channels.len())),
            Action::SetMeta(_) => {
                let memberships = self.connections.get(id)?.memberships().iter();
                let its = memberships.filter(|found| found.topic.namespace == namespace);
                Some(Work::Channels(its.count()))
            }
            Action::AcknowledgePresence { .. } => Some(Work::Question),
            Action::Emit { .. }
            | Action::Acknowledge { .. }
            | Action::Report(_)
            | Action::Limit(_)
            | Action::Disconnect => None,
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
        // Nothing can be done any more for a client that is gone.
        self.call_handler(id, connection, namespace, None, |handler, client| {
            handler.on_disconnect(client, reason);
        });
    }
}
