//! Joining and leaving channels.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use womack_proto::{Channel, NamespaceId};

use super::{
    Shard,
    acks::Waiting,
    connection::{Connection, Protocol},
    memberships::Membership,
    subscribers::Subscriber,
};
use crate::{
    command::{Dialect, ToRouter, Topic, Topics},
    ledger::Limit,
    memory::MEMBERSHIP_BYTES,
    namespace::JoinAcknowledged,
    report::Report,
};

/// What a join came to.
pub(super) struct Join {
    channel: Arc<str>,
    topic: Topic,
    /// The client was not in the channel.
    new: bool,
    /// What is published from now on arrives.
    live: bool,
}

impl Shard {
    /// Puts a client into a channel. One that is in it stays there as it came, whatever dialect
    /// it speaks now. `None` when it may be in no more.
    pub(super) fn join(
        &mut self,
        id: u32,
        namespace: NamespaceId,
        channel: &Channel,
        dialect: Dialect,
    ) -> Option<Join> {
        let name = self
            .common
            .registry
            .redis_channel(namespace, channel.as_str());
        let connection = self.connections.get_mut(id as usize)?;
        let encodings = connection.encodings();
        let known = connection.memberships.find_any(&name, namespace, encodings);
        if let Some((_, topic)) = known {
            let live = self.linked && self.channels.is_live(&name, topic);
            return Some(Join {
                channel: name,
                topic,
                new: false,
                live,
            });
        }
        // Handlers keep to the limit themselves, with an answer; this is for those that do not.
        let namespaces = self.common.registry.len();
        let most = self
            .common
            .config
            .limits
            .load()
            .max_channels_per_client
            .saturating_mul(namespaces);
        let membership = connection.memberships.next();
        if membership as usize >= most {
            self.common.metrics.limit(Limit::MaxChannelsPerClient);
            return None;
        }
        let topic = Topic {
            namespace,
            encoding: connection.encoding(dialect),
        };
        let joined = self.channels.join(
            name,
            topic,
            Subscriber {
                connection: id,
                membership,
            },
        );
        self.gaps.joined(id, &joined.channel);
        let place = joined.place;
        connection.memberships.push(Membership {
            channel: joined.channel.clone(),
            topic,
            place,
        });
        self.common.metrics.clients.subscriptions.inc();
        self.ledger.charge(MEMBERSHIP_BYTES);
        self.report_member(Report::Subscribed, id, namespace, &joined.channel);
        if !self.fanouts.is_empty() {
            self.fanouts.joined(&joined.channel, topic, id);
        }
        if joined.first {
            self.look(joined.channel.clone());
        }
        let live = self.linked && joined.live;
        Some(Join {
            channel: joined.channel,
            topic,
            new: true,
            live,
        })
    }

    /// Puts a client into channels and acknowledges when all of them are live.
    pub(super) fn join_acknowledged(
        &mut self,
        id: u32,
        namespace: NamespaceId,
        join: JoinAcknowledged,
    ) {
        let mut new = Vec::new();
        let mut missing = Vec::new();
        for channel in &join.channels {
            let Some(joined) = self.join(id, namespace, channel, join.dialect) else {
                continue;
            };
            if joined.new {
                new.push(joined.channel.clone());
            }
            if !joined.live {
                missing.push((joined.channel, joined.topic));
            }
        }
        if missing.is_empty() {
            return self.answer_join(id, namespace, (join.ack, &join.live), true);
        }
        if self.acks.len() >= self.common.config.limits.load().max_waiting_acks {
            self.common.metrics.limit(Limit::MaxWaitingAcks);
            self.take_back(id, namespace, &new);
            return self.answer_join(id, namespace, (join.ack, &join.unavailable), false);
        }
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let client = (id, connection.secret);
        let texts = (join.live, join.unavailable);
        let now = Instant::now();
        self.acks.wait(
            Waiting::new(client, namespace, join.ack, texts, new),
            missing,
            now,
        );
        if let Some(next) = self.acks.next() {
            self.wake_timer(next);
        }
    }

    /// Redis has confirmed these topics.
    pub(super) fn live(&mut self, channel: &Arc<str>, topics: &Topics) {
        let mut ready = Vec::new();
        for &topic in topics {
            self.channels.set_live(channel, topic);
            self.acks.live(channel, topic, &mut ready);
        }
        self.acknowledge_ready(ready);
    }

    /// The subscription link to Redis stands, or is gone.
    pub(super) fn link(&mut self, linked: bool) {
        let was_linked = std::mem::replace(&mut self.linked, linked);
        if !linked {
            if was_linked {
                self.gaps.began(None);
            }
            return;
        }
        let mut ready = Vec::new();
        for (channel, topic) in self.acks.topics() {
            if self.channels.is_live(&channel, topic) {
                self.acks.live(&channel, topic, &mut ready);
            }
        }
        self.acknowledge_ready(ready);
    }

    /// These channels bring nothing until Redis has confirmed them again.
    pub(super) fn lost(&mut self, channels: Arc<HashSet<Arc<str>>>) {
        for channel in &*channels {
            self.channels.set_lost(channel);
        }
        self.gaps.began(Some(channels));
    }

    fn acknowledge_ready(&mut self, ready: Vec<Waiting>) {
        for waiting in ready {
            if self.is_same((waiting.connection, waiting.secret), waiting.namespace) {
                let (id, namespace) = (waiting.connection, waiting.namespace);
                self.answer_join(id, namespace, (waiting.ack, &waiting.live), true);
            }
        }
    }

    /// Answers what has waited for Redis too long.
    pub(super) fn expire_acks(&mut self, now: Instant) {
        let mut late = Vec::new();
        self.acks.expire(now, &mut late);
        for waiting in late {
            if !self.is_same((waiting.connection, waiting.secret), waiting.namespace) {
                continue;
            }
            self.common.metrics.limit(Limit::SubscribeTimeoutSeconds);
            let (id, namespace) = (waiting.connection, waiting.namespace);
            self.take_back(id, namespace, &waiting.new);
            self.answer_join(id, namespace, (waiting.ack, &waiting.unavailable), false);
        }
    }

    /// Whether a client, named by its slot and its secret, is still there, in its namespace.
    pub(super) fn is_same(&self, (id, secret): (u32, u64), namespace: NamespaceId) -> bool {
        let connection = self.connections.get(id as usize);
        connection.is_some_and(|found| found.secret == secret && found.is_joined(namespace))
    }

    /// Says whether channels that a client asked for are live.
    fn answer_join(
        &mut self,
        id: u32,
        namespace: NamespaceId,
        (ack, answer): (u64, &str),
        is_live: bool,
    ) {
        if !self.begin_events(id, is_live) {
            self.acknowledge(id, namespace, ack, answer);
        }
    }

    pub(super) fn acknowledge(&mut self, id: u32, namespace: NamespaceId, ack: u64, args: &str) {
        let connection = self.connections.get(id as usize);
        if connection.is_some_and(|found| matches!(found.protocol, Protocol::Plain(_))) {
            return self.send_line(id, args);
        }
        self.with_session(id, |session, rules, out| {
            session.acknowledge(namespace, ack, args, &[], rules, out);
        });
    }

    fn take_back(&mut self, id: u32, namespace: NamespaceId, channels: &[Arc<str>]) {
        for channel in channels {
            self.leave_named(id, namespace, channel);
        }
    }

    /// Takes a client out of a channel.
    pub(super) fn leave(&mut self, id: u32, namespace: NamespaceId, channel: &Channel) {
        let name = self
            .common
            .registry
            .redis_channel(namespace, channel.as_str());
        self.leave_named(id, namespace, &name);
    }

    /// The same of a channel by its name at Redis.
    fn leave_named(&mut self, id: u32, namespace: NamespaceId, channel: &Arc<str>) {
        let Some(connection) = self.connections.get_mut(id as usize) else {
            return;
        };
        let encodings = connection.encodings();
        let known = connection
            .memberships
            .find_any(channel, namespace, encodings);
        let Some((number, _)) = known else {
            return;
        };
        let (membership, moved) = connection.memberships.remove(number);
        if let Some(moved) = moved {
            self.channels
                .set_membership(&moved.channel, moved.topic, moved.place, number);
        }
        self.report_member(Report::Unsubscribed, id, namespace, channel);
        self.gaps.left(id, channel);
        self.give_up(id, &membership);
    }

    /// Takes a client out of all channels of a namespace.
    pub(super) fn leave_namespace(&mut self, id: u32, namespace: NamespaceId) {
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let memberships = connection
            .memberships
            .iter()
            .filter(|found| found.topic.namespace == namespace);
        let channels: Vec<_> = memberships.map(|found| found.channel.clone()).collect();
        self.take_back(id, namespace, &channels);
    }

    /// Takes a connection, which is closing, out of all channels.
    pub(super) fn leave_all(&mut self, id: u32, connection: &mut Connection) {
        for membership in std::mem::take(&mut connection.memberships).iter() {
            let client = (id, &*connection);
            let namespace = membership.topic.namespace;
            self.report_place(Report::Unsubscribed, client, namespace, &membership.channel);
            self.gaps.left(id, &membership.channel);
            self.give_up(id, membership);
        }
    }

    /// Gives a place in a topic up.
    fn give_up(&mut self, id: u32, membership: &Membership) {
        let left = self
            .channels
            .leave(&membership.channel, membership.topic, membership.place);
        if let Some(moved) = left.moved {
            let connection = self.connections.get_mut(moved.connection as usize);
            let other = connection.and_then(|found| found.memberships.get_mut(moved.membership));
            if let Some(other) = other {
                other.place = membership.place;
            }
        }
        self.common.metrics.clients.subscriptions.dec();
        self.ledger.release(MEMBERSHIP_BYTES);
        if !self.fanouts.is_empty() {
            let (channel, topic) = (&membership.channel, membership.topic);
            self.fanouts.left(channel, topic, id, left.last);
        }
        if left.last {
            self.look(membership.channel.clone());
        }
    }

    /// Asks the router to look at what this shard wants of a channel.
    fn look(&self, channel: Arc<str>) {
        if self
            .router
            .send(ToRouter::Look {
                shard: self.id,
                channel,
            })
            .is_err()
        {
            // The next look that is taken covers every channel.
            self.look_at_all.store(true, Ordering::Release);
        }
    }
}
