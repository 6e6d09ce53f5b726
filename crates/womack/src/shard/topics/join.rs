//! Joining and leaving channels.

use std::{sync::Arc, time::Instant};

use womack_proto::{
    Channel, Form, NamespaceId, event_stream,
    subscriber::Epoch,
    unsubscribed::{self, Unsubscribed},
};

use super::{memberships::Membership, subscribers::Subscriber};
use crate::{
    command::{Dialect, Interests, LossNumber, LostScope, Topic},
    engine::{Answered, JoinAnswer, JoinReply, Key, PendingAck},
    ledger::Limit,
    memory::MEMBERSHIP_BYTES,
    namespace::JoinAcknowledged,
    report::Report,
    requests::Problem,
    shard::{Shard, connections::connection::Connection},
    sid::{ConnectionId, ConnectionRef},
};

/// The outcome of a join.
pub(in crate::shard) struct Join {
    key: Key,
    /// The client was not in the channel.
    is_new: bool,
    /// Messages that are published from now on arrive.
    is_live: bool,
}

impl Shard {
    /// Puts a client into a channel, on behalf of a request that waits for no answer.
    pub(in crate::shard) fn join(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &Channel,
        dialect: Dialect,
    ) {
        let Some(join) = self.try_join(id, namespace, channel, dialect) else {
            return;
        };
        let Join {
            key,
            is_new,
            is_live,
        } = join;
        if self.acks.joined(&key, id, is_new, is_live) {
            self.report_member(Report::Subscribed, id, namespace, &key.0);
        }
    }

    /// Puts a client into a channel. One that is in it stays there as it came, whatever dialect
    /// it speaks now. `None` when it may be in no more.
    fn try_join(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &Channel,
        dialect: Dialect,
    ) -> Option<Join> {
        let name = self
            .common
            .registry
            .redis_channel(namespace, channel.as_str());
        let connection = self.connections.get_mut(id.index())?;
        let encodings = connection.encodings();
        let known = connection.memberships.find_any(&name, namespace, encodings);
        if let Some((_, topic)) = known {
            let is_live = self.channels.is_live(&name, topic);
            return Some(Join {
                key: (name, topic),
                is_new: false,
                is_live,
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
        let key = (joined.channel.clone(), topic);
        self.gaps.joined(id, &key);
        let place = joined.place;
        connection.memberships.push(Membership {
            channel: joined.channel.clone(),
            topic,
            place,
        });
        self.common.metrics.clients.subscriptions.inc();
        self.ledger.charge(MEMBERSHIP_BYTES);
        if !self.fanouts.is_empty() {
            self.fanouts.joined(&joined.channel, topic, id);
        }
        if joined.first {
            self.dirty.mark(self.id, joined.channel.clone());
        }
        Some(Join {
            key,
            is_new: true,
            is_live: joined.live,
        })
    }

    /// Puts a client into channels and acknowledges when all of them are live.
    pub(in crate::shard) fn join_acknowledged(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        join: JoinAcknowledged,
    ) {
        let mut joins = Vec::new();
        for channel in &join.channels {
            let Some(joined) = self.try_join(id, namespace, channel, join.dialect) else {
                // It may be in no more channels, so it is in none by this request.
                for joined in joins.iter().filter(|joined: &&Join| joined.is_new) {
                    self.leave_named(id, namespace, &joined.key.0);
                }
                return self.answer_join(id, namespace, &join.answer, false);
            };
            joins.push(joined);
        }
        if joins.iter().all(|join| join.is_live) {
            self.answer_join(id, namespace, &join.answer, true);
            for Join { key, is_new, .. } in joins {
                if self.acks.told_live(&key, id, is_new) {
                    self.report_member(Report::Subscribed, id, namespace, &key.0);
                }
            }
            return;
        }
        let Some(connection) = self.connections.get(id.index()) else {
            return;
        };
        let client = ConnectionRef {
            id,
            secret: connection.secret,
        };
        let ack = PendingAck::new(client, namespace, join.answer);
        let channels = joins.into_iter().map(|join| (join.key, join.is_new));
        let is_full = self.acks.len() >= self.common.config.limits.load().max_waiting_acks;
        let known = &self.channels;
        let is_live = |(channel, topic): &Key| known.is_live(channel, *topic);
        self.acks.wait(ack, channels.collect(), is_live, self.now);
        if is_full {
            self.common.metrics.limit(Limit::MaxWaitingAcks);
            if let Some(refused) = self.acks.fail_last() {
                self.fail_join(refused);
            }
        } else if let Some(next) = self.acks.next_deadline() {
            self.wake_timer(next);
        }
    }

    /// Redis has confirmed `channel` over a connection, for these interests.
    pub(in crate::shard) fn live(
        &mut self,
        channel: &Arc<str>,
        interests: &Interests,
        epoch: Epoch,
    ) {
        for &interest in interests {
            if !self.channels.set_live(channel, interest, epoch) {
                continue;
            }
            let key = (channel.clone(), interest.topic);
            let known = &self.channels;
            let is_live = |(channel, topic): &Key| known.is_live(channel, *topic);
            let (answered, settled) = self.acks.live(&key, is_live);
            for done in answered {
                self.succeed_join(&done);
            }
            for id in settled {
                self.report_member(Report::Subscribed, id, interest.topic.namespace, channel);
            }
        }
    }

    /// Redis refuses `channel`: these interests in it end, and whoever is in it is told.
    pub(in crate::shard) fn refused(&mut self, channel: &Arc<str>, interests: &Interests) {
        for &interest in interests {
            if !self.channels.has_interest(channel, interest) {
                continue;
            }
            let namespace = interest.topic.namespace;
            for id in self.channels.members_of(channel, interest.topic) {
                let key = (channel.clone(), interest.topic);
                let is_told = self.acks.is_waited_for(&key, id);
                self.leave_named(id, namespace, channel);
                if !is_told {
                    self.tell_unsubscribed(id, namespace, channel, Problem::Unavailable.code());
                }
            }
        }
    }

    /// Channels bring nothing until Redis has confirmed them again.
    pub(in crate::shard) fn lost(&mut self, loss: Option<LossNumber>, scope: &LostScope) {
        match scope {
            LostScope::Connection(epoch) => self.channels.lost_connection(*epoch),
            LostScope::Channels(channels) => {
                for channel in channels {
                    self.channels.set_lost(channel);
                }
            }
        }
        self.acks.lost();
        if let Some(loss) = loss {
            self.gaps.began(loss);
        }
    }

    /// All channels of a request are live.
    fn succeed_join(&mut self, done: &Answered) {
        let Answered { ack, memberships } = done;
        if !self.is_joined(ack.client, ack.namespace) {
            return;
        }
        let (id, namespace) = (ack.client.id, ack.namespace);
        self.answer_join(id, namespace, &ack.answer, true);
        for (channel, _) in memberships {
            self.report_member(Report::Subscribed, id, namespace, channel);
        }
    }

    /// A request has failed; memberships end that nobody else has asked for.
    fn fail_join(&mut self, failed: Answered) {
        let Answered { ack, memberships } = failed;
        if !self.is_joined(ack.client, ack.namespace) {
            return;
        }
        let (id, namespace) = (ack.client.id, ack.namespace);
        for (channel, _) in &memberships {
            self.leave_named(id, namespace, channel);
        }
        self.answer_join(id, namespace, &ack.answer, false);
    }

    /// Answers requests that have waited for Redis too long.
    pub(in crate::shard) fn expire_acks(&mut self, now: Instant) {
        while let Some(late) = self.acks.expire(now) {
            self.common.metrics.limit(Limit::SubscribeTimeoutSeconds);
            self.fail_join(late);
        }
    }

    /// Whether a client is still there, in its namespace.
    pub(in crate::shard) fn is_joined(
        &self,
        client: ConnectionRef,
        namespace: NamespaceId,
    ) -> bool {
        let connection = self.connections.get(client.id.index());
        connection.is_some_and(|found| found.secret == client.secret && found.is_joined(namespace))
    }

    /// Says whether channels that a client asked for are live.
    fn answer_join(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        answer: &JoinAnswer,
        is_live: bool,
    ) {
        let text = if is_live {
            &answer.live
        } else {
            &answer.unavailable
        };
        match answer.reply {
            JoinReply::Ack(ack) => self.acknowledge(id, namespace, ack, text),
            JoinReply::Line => self.send_line(id, text),
            JoinReply::StreamOpen => self.begin_events(id, is_live),
        }
    }

    pub(in crate::shard) fn acknowledge(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        ack: u64,
        args: &str,
    ) {
        self.with_session(id, |session, rules, out| {
            session.acknowledge(namespace, ack, args, &[], rules, out);
        });
    }

    /// Takes a client out of a channel.
    pub(in crate::shard) fn leave(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &Channel,
    ) {
        let name = self
            .common
            .registry
            .redis_channel(namespace, channel.as_str());
        self.leave_named(id, namespace, &name);
    }

    /// The same of a channel by its name at Redis.
    fn leave_named(&mut self, id: ConnectionId, namespace: NamespaceId, channel: &Arc<str>) {
        let Some(connection) = self.connections.get_mut(id.index()) else {
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
        let key = (channel.clone(), membership.topic);
        let (was_settled, failed) = self.acks.left(&key, id);
        if was_settled {
            self.report_member(Report::Unsubscribed, id, namespace, channel);
        }
        self.give_up(id, &membership);
        for ack in failed {
            self.fail_join(ack);
        }
    }

    /// Takes a client out of all channels of a namespace.
    pub(in crate::shard) fn leave_namespace(&mut self, id: ConnectionId, namespace: NamespaceId) {
        let Some(connection) = self.connections.get(id.index()) else {
            return;
        };
        let memberships = connection
            .memberships
            .iter()
            .filter(|found| found.topic.namespace == namespace);
        let channels: Vec<_> = memberships.map(|found| found.channel.clone()).collect();
        for channel in channels {
            self.leave_named(id, namespace, &channel);
        }
    }

    /// Takes a connection, which is closing, out of all channels.
    pub(in crate::shard) fn leave_all(&mut self, id: ConnectionId, connection: &mut Connection) {
        for membership in std::mem::take(&mut connection.memberships).iter() {
            let client = (id, &*connection);
            let namespace = membership.topic.namespace;
            let key = (membership.channel.clone(), membership.topic);
            // Nobody is left to be told that acknowledgements have failed.
            let (was_settled, _) = self.acks.left(&key, id);
            if was_settled {
                self.report_place(Report::Unsubscribed, client, namespace, &membership.channel);
            }
            self.give_up(id, membership);
        }
    }

    /// Gives a place in a topic up.
    fn give_up(&mut self, id: ConnectionId, membership: &Membership) {
        let key = (membership.channel.clone(), membership.topic);
        self.gaps.left(id, &key);
        let left = self
            .channels
            .leave(&membership.channel, membership.topic, membership.place);
        if let Some(moved) = left.moved {
            let connection = self.connections.get_mut(moved.connection.index());
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
            self.dirty.mark(self.id, membership.channel.clone());
        }
    }

    /// Tells a client that it is in a channel no more although it did not leave.
    fn tell_unsubscribed(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &str,
        reason: &str,
    ) {
        let common = self.common.clone();
        let channel = common.registry.channel(namespace, channel);
        let unsubscribed = Unsubscribed {
            channel: channel.unwrap_or_default(),
            reason,
        };
        match self.form(id) {
            None => self.with_session(id, |session, rules, out| {
                let (name, args) = (unsubscribed::EVENT, unsubscribed.to_json());
                session.emit(namespace, name, &args, &[], rules, out);
            }),
            Some(Form::Events) => {
                self.send(id, event_stream::unsubscribed(&unsubscribed).as_bytes());
            }
            Some(Form::Lines | Form::Messages) => self.send_line(id, &unsubscribed.to_line()),
        }
    }
}
