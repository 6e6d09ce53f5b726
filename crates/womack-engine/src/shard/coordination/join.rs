//! Joining and leaving channels.

use std::sync::Arc;

use womack_ledger::Limit;
use womack_proto::{
    Channel, Form, NamespaceId, event_stream,
    subscriber::Epoch,
    unsubscribed::{self, Unsubscribed},
};

use crate::{
    command::Interests,
    encoding::Dialect,
    namespace::{
        JoinAcknowledged,
        join::{JoinAnswer, JoinReply},
        problem::Problem,
    },
    report::Report,
    shard::{
        Shard,
        connections::connection::Connection,
        topics::{
            pending_acks::{AckLimits, Answered, PendingAck},
            subscriptions::{Join, Moved, NotJoined, Target},
        },
    },
    sid::ConnectionId,
};

impl Shard {
    /// Puts a client into a channel, on behalf of a request that waits for no answer.
    pub(in crate::shard) fn join(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &Channel,
        dialect: Dialect,
    ) {
        if let Ok(join) = self.try_join(id, namespace, channel, dialect)
            && self.subscriptions.settle(id, &join)
        {
            self.report_member(Report::Subscribed, id, namespace, &join.key.0);
        }
    }

    /// Puts a client into a channel, unless it may be in no more, the node has no room for another
    /// channel, or the client is about to go: it has left its channels, and would not hear of what
    /// it has missed of them since.
    fn try_join(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &Channel,
        dialect: Dialect,
    ) -> Result<Join, NotJoined> {
        let polling = self.connections.polling_mut(id);
        if polling.is_some_and(|polling| polling.ending().is_some()) {
            return Err(NotJoined::Leaving);
        }
        let registry = &self.context.registry;
        let connection = self.connections.get_mut(id).ok_or(NotJoined::Leaving)?;
        // Handlers keep to the limit themselves, with an answer; this is for those that do not.
        let most = self.context.config.limits.load().max_channels_per_client;
        let target = Target {
            channel: registry.redis_channel(namespace, channel.as_str()),
            namespace,
            encoding: connection.kind().encoding(dialect),
            encodings: connection.kind().encodings(),
            max_memberships: most.saturating_mul(registry.count()),
            max_channels: self.context.max_channels(),
        };
        let subscriptions = &mut self.subscriptions;
        let join = connection
            .change_memberships(|memberships| subscriptions.join(id, memberships, target));
        match &join {
            Ok(join) if join.is_new => {
                self.context.metrics.clients.subscriptions.inc();
            }
            Ok(_) | Err(NotJoined::Leaving) => {}
            Err(NotJoined::TooManyMemberships) => {
                self.context.metrics.limit(Limit::MaxChannelsPerClient);
            }
            Err(NotJoined::TooManyChannels) => self.context.metrics.limit(Limit::MaxChannels),
        }
        join
    }

    /// Puts a client into channels and acknowledges when all of them are live.
    pub(in crate::shard) fn join_acknowledged(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        request: JoinAcknowledged,
    ) {
        let mut joins = Vec::with_capacity(request.channels.len());
        let mut refusal = None;
        for channel in &request.channels {
            match self.try_join(id, namespace, channel, request.dialect) {
                Ok(join) => joins.push(join),
                Err(reason) => {
                    refusal = Some(self.problem(reason));
                    break;
                }
            }
        }
        if refusal.is_none() && joins.iter().all(|join| join.is_live) {
            let names: Vec<_> = request.channels.iter().map(Channel::as_str).collect();
            self.answer_join(id, namespace, &request.answer, Ok(&names));
            for join in joins {
                if self.subscriptions.told_live(id, &join) {
                    self.report_member(Report::Subscribed, id, namespace, &join.key.0);
                }
            }
            return;
        }
        let Some(client) = self.connections.named(id) else {
            return;
        };
        let ack = PendingAck::new(client, namespace, request.answer);
        let limits = self.context.config.limits.load();
        let limits = AckLimits {
            max_waiting: limits.max_waiting_acks,
            max_channels_per_client: limits.max_channels_per_client,
        };
        if refusal.is_none() && !self.subscriptions.may_wait(&ack, joins.len(), limits) {
            self.context.metrics.limit(Limit::MaxWaitingAcks);
            refusal = Some(Problem::Unavailable);
        }
        self.subscriptions.wait(ack, joins, self.now);
        if let Some(problem) = refusal {
            // As one that has waited too long: no channel is joined by it, and nothing announced.
            if let Some(refused) = self.subscriptions.fail_last() {
                self.fail_join(refused, &problem);
            }
        } else if let Some(next) = self.subscriptions.next_deadline() {
            self.timers.wake_by(next);
        }
    }

    /// What a client is told that does not join a channel.
    fn problem(&self, reason: NotJoined) -> Problem {
        match reason {
            NotJoined::Leaving => Problem::Unavailable,
            NotJoined::TooManyMemberships => {
                let limits = self.context.config.limits.load();
                Problem::TooManyChannels(limits.max_channels_per_client)
            }
            NotJoined::TooManyChannels => Problem::NodeChannels,
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
            let (answered, settled) = self.subscriptions.live(channel, interest, epoch);
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
            let namespace = interest.topic.namespace;
            for id in self.subscriptions.interested(channel, interest) {
                let key = (channel.clone(), interest.topic);
                // The failure of a second request does not tell a member that its membership ends.
                let is_told = self.subscriptions.is_provisional(&key, id);
                self.leave_named(id, namespace, channel);
                if !is_told {
                    self.tell_unsubscribed(id, namespace, channel, Problem::Unavailable.code());
                }
            }
        }
    }

    /// All channels of a request are live.
    fn succeed_join(&mut self, done: &Answered) {
        let Answered { ack, memberships } = done;
        if !self.connections.is_joined(ack.client, ack.namespace) {
            return;
        }
        let (id, namespace) = (ack.client.id, ack.namespace);
        let context = self.context.clone();
        let name = |channel| context.registry.channel(namespace, channel);
        let names: Vec<_> = ack
            .names()
            .map(|channel| name(channel).unwrap_or(channel))
            .collect();
        self.answer_join(id, namespace, &ack.answer, Ok(&names));
        for (channel, _) in memberships {
            self.report_member(Report::Subscribed, id, namespace, channel);
        }
    }

    /// A request has failed; memberships end that nobody else has asked for.
    fn fail_join(&mut self, failed: Answered, problem: &Problem) {
        let Answered { ack, memberships } = failed;
        if !self.connections.is_joined(ack.client, ack.namespace) {
            return;
        }
        let (id, namespace) = (ack.client.id, ack.namespace);
        for (channel, _) in &memberships {
            self.leave_named(id, namespace, channel);
        }
        self.answer_join(id, namespace, &ack.answer, Err(problem));
    }

    /// Answers requests that have waited for Redis too long.
    pub(in crate::shard) fn expire_acks(&mut self) {
        while let Some(late) = self.subscriptions.expire(self.now) {
            self.context.metrics.limit(Limit::SubscribeTimeoutSeconds);
            self.fail_join(late, &Problem::Unavailable);
        }
    }

    /// Says that channels of these names, which a client asked for, are live, or why they are not.
    fn answer_join(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        answer: &JoinAnswer,
        joined: Result<&[&str], &Problem>,
    ) {
        let text = answer.text(joined);
        match answer.reply {
            JoinReply::Ack(ack) => self.acknowledge(id, namespace, ack, &text),
            JoinReply::Line(_) => self.send_line(id, &text),
            JoinReply::StreamOpen => self.begin_events(id, joined.is_ok()),
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
            .context
            .registry
            .redis_channel(namespace, channel.as_str());
        self.leave_named(id, namespace, &name);
    }

    /// The same of a channel by its name at Redis.
    fn leave_named(&mut self, id: ConnectionId, namespace: NamespaceId, channel: &Arc<str>) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let encodings = connection.kind().encodings();
        let subscriptions = &mut self.subscriptions;
        let ended = connection.change_memberships(|memberships| {
            subscriptions.leave(id, memberships, channel, namespace, encodings)
        });
        let Some(ended) = ended else {
            return;
        };
        if ended.was_settled {
            self.report_member(Report::Unsubscribed, id, namespace, channel);
        }
        self.note_end(ended.moved);
        for ack in ended.failed {
            self.fail_join(ack, &Problem::Unavailable);
        }
    }

    /// Takes a client out of all channels of a namespace.
    pub(in crate::shard) fn leave_namespace(&mut self, id: ConnectionId, namespace: NamespaceId) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        for channel in connection.memberships().channels_in(namespace) {
            self.leave_named(id, namespace, &channel);
        }
    }

    /// Takes a connection, which is closing, out of all channels.
    pub(in crate::shard) fn leave_all(&mut self, id: ConnectionId, connection: &mut Connection) {
        for membership in connection.change_memberships(std::mem::take).iter() {
            let ended = self.subscriptions.end(id, membership);
            // Nobody is left to be told that acknowledgements have failed.
            if ended.was_settled {
                self.report_place(Report::Unsubscribed, id, connection, membership);
            }
            self.note_end(ended.moved);
        }
    }

    /// A membership has ended, whose place another subscriber may have now.
    fn note_end(&mut self, moved: Option<Moved>) {
        if let Some(moved) = moved {
            self.connections.note_place(moved);
        }
        self.context.metrics.clients.subscriptions.dec();
    }

    /// Tells a client that it is in a channel no more although it did not leave.
    fn tell_unsubscribed(
        &mut self,
        id: ConnectionId,
        namespace: NamespaceId,
        channel: &str,
        reason: &str,
    ) {
        let context = self.context.clone();
        let channel = context.registry.channel(namespace, channel);
        let unsubscribed = Unsubscribed {
            channel: channel.unwrap_or_default(),
            reason,
        };
        match self.connections.form(id) {
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
