//! What the back end hears of clients, and what clients ask of the other nodes.
//!
//! Nothing of it happens when the server publishes no events.

use std::sync::Arc;

use serde_json::value::RawValue;
use womack_ledger::Limit;
use womack_proto::{Channel, NamespaceId};

use crate::{
    report::{Count, Custom, Meta, Place, Question, Report},
    shard::{
        Shard,
        connections::connection::Connection,
        topics::{memberships::Membership, presence_queries::PendingQuery},
    },
    sid::ConnectionId,
    timeout_queue::Ticket,
};

/// Memberships that are reported at one go when clients are counted: what is published meanwhile
/// must not be kept waiting.
const COUNTED_AT_ONCE: usize = 1024;
/// Slots that are looked at for that.
const SLOTS_AT_ONCE: usize = 4096;

impl Shard {
    /// Says of a client in a channel what `report` makes of it.
    pub(in crate::shard) fn report_member(
        &self,
        report: fn(Place) -> Report,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &Arc<str>,
    ) {
        if let Some(connection) = self.connections.get(id) {
            self.send_report(report, id, connection, namespace, channel);
        }
    }

    /// The same of a client that may be out of its slot already, and was in a channel.
    pub(in crate::shard) fn report_place(
        &self,
        report: fn(Place) -> Report,
        id: ConnectionId,
        connection: &Connection,
        membership: &Membership,
    ) {
        let (namespace, channel) = (membership.topic.namespace, &membership.channel);
        self.send_report(report, id, connection, namespace, channel);
    }

    fn send_report(
        &self,
        report: fn(Place) -> Report,
        id: ConnectionId,
        connection: &Connection,
        namespace: NamespaceId,
        channel: &Arc<str>,
    ) {
        let Some(reports) = &self.context.reports else {
            return;
        };
        let meta = self.connections.meta(connection.secret(), namespace);
        let session = self.client_id(id, connection, namespace);
        let place = Place::new(session, namespace, channel.clone(), meta.cloned());
        reports.send(report(place), &self.context.metrics);
    }

    /// Remembers something about a client. Others are told if it is in channels already, once a
    /// second: each change concerns all its channels.
    pub(in crate::shard) fn set_meta(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        meta: Meta,
    ) {
        // A handler may have taken it out of the namespace before.
        let client = self.connections.named(id);
        let Some(client) = client.filter(|client| self.connections.is_joined(*client, namespace))
        else {
            return;
        };
        if !self.connections.set_meta(client.secret, namespace, meta) {
            return;
        }
        if self.meta_changes.change((client, namespace), self.now) {
            self.report_presence(id, namespace);
        }
        if let Some(next) = self.meta_changes.next_deadline() {
            self.timers.wake_by(next);
        }
    }

    /// Tells others of what has changed about clients in the last second.
    pub(in crate::shard) fn tell_meta_changes(&mut self) {
        while let Some((client, namespace)) = self.meta_changes.due(self.now) {
            if self.connections.is_joined(client, namespace) {
                self.report_presence(client.id, namespace);
            }
        }
    }

    /// Says of a client in each of its channels that it is there.
    fn report_presence(&self, id: ConnectionId, namespace: NamespaceId) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let memberships = connection.memberships().iter();
        for membership in memberships.filter(|found| found.topic.namespace == namespace) {
            if self.subscriptions.is_settled(id, membership) {
                self.report_place(Report::Present, id, connection, membership);
            }
        }
    }

    /// Hands to the back end what a client sent it.
    pub(in crate::shard) fn report_custom(
        &self,
        id: ConnectionId,
        namespace: NamespaceId,
        data: Box<RawValue>,
    ) {
        let Some(reports) = &self.context.reports else {
            return;
        };
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let session = self.client_id(id, connection, namespace);
        let meta = self.connections.meta(connection.secret(), namespace);
        let custom = Custom::new(session, namespace, meta.cloned(), data);
        reports.send(Report::Custom(Box::new(custom)), &self.context.metrics);
    }

    /// Reports a part of the clients, beginning with the one in slot `from`.
    pub(in crate::shard) fn count(&self, count: Count, from: u32) {
        let Some(reports) = &self.context.reports else {
            return;
        };
        // A slab's slots are below its capacity.
        let end = u32::try_from(self.connections.slots()).expect("fewer than 2^31 files");
        let (mut slot, mut counted) = (from, 0);
        let most = COUNTED_AT_ONCE.min(reports.room());
        while slot < end && counted < most && ((slot - from) as usize) < SLOTS_AT_ONCE {
            let id = ConnectionId(slot);
            if let Some(connection) = self.connections.get(id) {
                let memberships = connection.memberships().iter();
                let settled = memberships.filter(|found| self.subscriptions.is_settled(id, found));
                for membership in settled {
                    self.report_place(Report::Present, id, connection, membership);
                    counted += 1;
                }
            }
            slot += 1;
        }
        let counted = Report::Counted {
            count,
            shard: self.ids.shard(),
            next: (slot < end).then_some(slot),
        };
        reports.send(counted, &self.context.metrics);
    }

    /// Asks for a client who is in a channel, on all nodes.
    pub(in crate::shard) fn ask_presence(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &Channel,
        ack: u64,
        unavailable: String,
    ) {
        let context = self.context.clone();
        let Some(client) = self.connections.named(id) else {
            return;
        };
        let full = self.presence_queries.len() >= context.config.limits.load().max_waiting_acks;
        if full {
            context.metrics.limit(Limit::MaxWaitingAcks);
        }
        let entry = context.registry.get(namespace);
        let reports = context.reports.as_ref();
        let Some(reports) = reports.filter(|_| entry.presence && !full) else {
            return self.acknowledge(id, namespace, ack, &unavailable);
        };
        let query = PendingQuery::new(client, namespace, ack, unavailable, channel, &self.ledger);
        let question = Question {
            shard: self.ids.shard(),
            token: self.presence_queries.push(query, self.now),
            namespace,
            channel: context.registry.redis_channel(namespace, channel.as_str()),
        };
        reports.send(Report::Asked(question), &context.metrics);
        if let Some(next) = self.presence_queries.next_deadline() {
            self.timers.wake_by(next);
        }
    }

    /// A question has its answer; nothing if nobody knows.
    pub(in crate::shard) fn answer_presence(&mut self, token: Ticket, answer: Option<&str>) {
        if let Some(query) = self.presence_queries.remove(token) {
            self.answer_query(&query, answer);
        }
    }

    /// Answers the questions that have waited too long.
    pub(in crate::shard) fn expire_questions(&mut self) {
        while let Some((_, query)) = self.presence_queries.expire(self.now) {
            self.context.metrics.limit(Limit::SubscribeTimeoutSeconds);
            self.answer_query(&query, None);
        }
    }

    fn answer_query(&mut self, query: &PendingQuery, answer: Option<&str>) {
        let answer = answer.unwrap_or(&query.unavailable);
        if self.connections.is_joined(query.client, query.namespace) {
            self.acknowledge(query.client.id, query.namespace, query.ack, answer);
        }
    }
}
