//! What the back end hears of clients, and what clients ask of the other nodes.
//!
//! Nothing of it happens when the server publishes no events.

use std::{sync::Arc, time::Instant};

use serde_json::value::RawValue;
use womack_proto::{Channel, NamespaceId};

use super::{memberships::Membership, presence_queries::PendingQuery};
use crate::{
    engine::Ticket,
    ledger::Limit,
    report::{Count, Custom, Meta, Place, Question, Report},
    shard::{Shard, connections::connection::Connection},
    sid::{ConnectionId, ConnectionRef},
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
        if let Some(connection) = self.connections.get(id.index()) {
            self.report_place(report, (id, connection), namespace, channel);
        }
    }

    /// The same of a client that may be out of its place `id` already.
    pub(in crate::shard) fn report_place(
        &self,
        report: fn(Place) -> Report,
        (id, connection): (ConnectionId, &Connection),
        namespace: NamespaceId,
        channel: &Arc<str>,
    ) {
        let Some(reports) = &self.common.reports else {
            return;
        };
        let place = Place {
            session: self.client_id(id, connection, namespace),
            namespace,
            channel: channel.clone(),
            meta: self.metas.get(connection.secret, namespace).cloned(),
        };
        reports.send(report(place), &self.common.metrics);
    }

    /// Remembers something about a client. Others are told if it is in channels already.
    pub(in crate::shard) fn set_meta(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        meta: Meta,
    ) {
        let Some(connection) = self.connections.get(id.index()) else {
            return;
        };
        // A handler may have taken it out of the namespace before.
        if !connection.is_joined(namespace) {
            return;
        }
        if !self.metas.set(connection.secret, namespace, meta) {
            return;
        }
        let memberships = connection.memberships.iter();
        let settled = memberships.filter(|found| self.is_settled(id, found));
        for membership in settled.filter(|found| found.topic.namespace == namespace) {
            let client = (id, connection);
            self.report_place(Report::Present, client, namespace, &membership.channel);
        }
    }

    /// Hands to the back end what a client sent it.
    pub(in crate::shard) fn report_custom(
        &self,
        id: ConnectionId,
        namespace: NamespaceId,
        data: Box<RawValue>,
    ) {
        let Some(reports) = &self.common.reports else {
            return;
        };
        let Some(connection) = self.connections.get(id.index()) else {
            return;
        };
        let custom = Custom {
            session: self.client_id(id, connection, namespace),
            namespace,
            meta: self.metas.get(connection.secret, namespace).cloned(),
            data,
        };
        reports.send(Report::Custom(Box::new(custom)), &self.common.metrics);
    }

    /// Reports a part of the clients, beginning with the one in slot `from`.
    pub(in crate::shard) fn count(&self, count: Count, from: u32) {
        let Some(reports) = &self.common.reports else {
            return;
        };
        // A slab's slots are below its capacity.
        let end = u32::try_from(self.connections.capacity()).expect("fewer than 2^31 files");
        let (mut slot, mut counted) = (from, 0);
        while slot < end && counted < COUNTED_AT_ONCE && ((slot - from) as usize) < SLOTS_AT_ONCE {
            let id = ConnectionId(slot);
            if let Some(connection) = self.connections.get(id.index()) {
                let memberships = connection.memberships.iter();
                for membership in memberships.filter(|found| self.is_settled(id, found)) {
                    let client = (id, connection);
                    let namespace = membership.topic.namespace;
                    self.report_place(Report::Present, client, namespace, &membership.channel);
                    counted += 1;
                }
            }
            slot += 1;
        }
        let counted = Report::Counted {
            count,
            shard: self.id,
            next: (slot < end).then_some(slot),
        };
        reports.send(counted, &self.common.metrics);
    }

    /// Whether the back end has heard of a client's membership.
    fn is_settled(&self, id: ConnectionId, membership: &Membership) -> bool {
        // A clone of the name costs more than the look.
        self.acks.is_empty()
            || self
                .acks
                .is_settled(&(membership.channel.clone(), membership.topic), id)
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
        let common = self.common.clone();
        let Some(connection) = self.connections.get(id.index()) else {
            return;
        };
        let full = self.presence_queries.len() >= common.config.limits.load().max_waiting_acks;
        if full {
            common.metrics.limit(Limit::MaxWaitingAcks);
        }
        let entry = common.registry.get(namespace);
        let reports = common.reports.as_ref();
        let Some(reports) = reports.filter(|_| entry.presence && !full) else {
            return self.acknowledge(id, namespace, ack, &unavailable);
        };
        let query = PendingQuery {
            client: ConnectionRef {
                id,
                secret: connection.secret,
            },
            namespace,
            ack,
            unavailable,
        };
        let question = Question {
            shard: self.id,
            token: self.presence_queries.push(query, self.now),
            namespace,
            channel: common.registry.redis_channel(namespace, channel.as_str()),
        };
        reports.send(Report::Asked(question), &common.metrics);
        if let Some(next) = self.presence_queries.next_deadline() {
            self.wake_timer(next);
        }
    }

    /// A question has its answer; nothing if nobody knows.
    pub(in crate::shard) fn answer_presence(&mut self, token: Ticket, answer: Option<&str>) {
        if let Some(query) = self.presence_queries.remove(token) {
            self.answer_query(&query, answer);
        }
    }

    /// Answers the questions that have waited too long.
    pub(in crate::shard) fn expire_questions(&mut self, now: Instant) {
        while let Some((_, query)) = self.presence_queries.expire(now) {
            self.common.metrics.limit(Limit::SubscribeTimeoutSeconds);
            self.answer_query(&query, None);
        }
    }

    fn answer_query(&mut self, query: &PendingQuery, answer: Option<&str>) {
        let answer = answer.unwrap_or(&query.unavailable);
        if self.is_joined(query.client, query.namespace) {
            self.acknowledge(query.client.id, query.namespace, query.ack, answer);
        }
    }
}
