//! What publishers of other families want done for some clients.

use smallvec::SmallVec;
use womack_proto::{
    CloseReason, NamespaceId, Revision,
    publishers::{Frames, Selection},
};

use crate::{
    command::{Deed, Order},
    encoding::Dialect,
    shard::{Shard, delivery::round::Span},
    sid::{ConnectionId, Sid},
};

impl Shard {
    pub(in crate::shard) fn order(&mut self, order: &Order) {
        let namespace = order.namespace;
        let ids = self.selected(namespace, &order.clients);
        match &order.deed {
            Deed::Send(frames) => {
                self.send_all(namespace, &ids, frames);
                self.egress.note_received(order.received);
            }
            Deed::Join(channels) => {
                for &id in &ids {
                    for channel in channels {
                        self.join(id, namespace, channel, Dialect::default());
                    }
                }
            }
            Deed::Leave(channels) => {
                for &id in &ids {
                    for channel in channels {
                        self.leave(id, namespace, channel);
                    }
                }
            }
            Deed::Disconnect { close: false } => {
                for id in ids {
                    self.disconnect(id, namespace);
                }
            }
            Deed::Disconnect { close: true } => {
                for id in ids {
                    self.dismiss(id);
                }
            }
        }
    }

    /// Queues an event for all of `ids`.
    fn send_all(&mut self, namespace: NamespaceId, ids: &[ConnectionId], frames: &Frames) {
        let fate = self.mark(namespace, None);
        let mut spans: SmallVec<[(Revision, Span); 2]> = SmallVec::new();
        let mut count = 0;
        for &id in ids {
            let Some(connection) = self.connections.get_mut(id) else {
                continue;
            };
            let revision = connection.kind().revision();
            let suited = revision.and_then(|revision| Some((revision, frames.of(revision)?)));
            let Some((revision, frames)) = suited else {
                self.context.metrics.deliveries.undeliverable.inc();
                continue;
            };
            let known = spans.iter().find(|(known, _)| *known == revision);
            let span = known.map(|(_, span)| *span).unwrap_or_else(|| {
                let span = self.egress.append(frames, fate.clone());
                spans.push((revision, span));
                span
            });
            self.egress.add(id, connection.outbox_mut(), span);
            count += 1;
        }
        self.metrics.deliveries.inc_by(count);
    }

    /// Takes a client out of all its namespaces, so that it does not come back by itself, and
    /// ends its connection.
    fn dismiss(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        for namespace in connection.kind().joined() {
            self.disconnect(id, namespace);
        }
        self.close(id, CloseReason::ServerDisconnect);
    }

    /// The connections that are meant, each once.
    fn selected(&self, namespace: NamespaceId, clients: &Selection) -> Vec<ConnectionId> {
        let mut ids = match &clients.rooms {
            Some(rooms) => self.members(namespace, rooms),
            None => self.connections.in_namespace(namespace),
        };
        let except = self.members(namespace, &clients.except);
        ids.retain(|id| except.binary_search(id).is_err());
        ids
    }

    fn is_in(&self, id: ConnectionId, namespace: NamespaceId) -> bool {
        let connection = self.connections.get(id);
        connection.is_some_and(|connection| connection.kind().is_joined(namespace))
    }

    /// The connections in any of `rooms`, each a channel or a session's id, in order.
    fn members(&self, namespace: NamespaceId, rooms: &[String]) -> Vec<ConnectionId> {
        let path = &self.context.registry.get(namespace).path;
        let mut ids = Vec::new();
        for room in rooms {
            // What is for one session is not for those in a channel of its name.
            if Sid::parse_in(path, room).is_some() {
                let named = self.connection_named(room, namespace);
                ids.extend(named.filter(|&id| self.is_in(id, namespace)));
            } else {
                let channel = self.context.registry.redis_channel(namespace, room);
                ids.append(&mut self.subscriptions.members(&channel, namespace));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
