//! How a shard sees to deadlines.

use std::{rc::Rc, time::Instant};

use tokio::sync::Notify;
use womack_proto::CloseReason;

use crate::{
    shard::{Shard, io::socket_id::SocketId},
    sid::ConnectionId,
};

impl Shard {
    /// Notes when the connection `id` wants to be looked at.
    pub(in crate::shard) fn schedule(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id) {
            let limits = self.context.config.limits.load();
            let deadline = connection.deadline(limits.max_client_queue_time);
            self.timers.set(id, deadline);
        }
    }

    /// Sees to the deadlines that are over.
    pub fn turn(&mut self, now: Instant) {
        self.now = now;
        if !self.timers.begin_turn(now) {
            return;
        }
        for id in self.timers.due(now) {
            let Some(connection) = self.connections.get(id) else {
                continue;
            };
            if connection.kind().protocol_deadline() <= now {
                self.protocol_timeout(id);
            }
            self.request_timeout(id);
            self.message_timeout(id);
            self.probe_timeout(id);
            self.queue_timeout(id);
            self.schedule(id);
        }
        for id in self.timers.aged(now) {
            self.retire(id, CloseReason::Aged);
        }
        self.expire_acks();
        self.expire_questions();
        self.tell_meta_changes();
        self.closing_sockets.expire(now);
        self.flush();
        self.timers.end_turn([
            self.subscriptions.next_deadline(),
            self.presence_queries.next_deadline(),
            self.meta_changes.next_deadline(),
            self.closing_sockets.next_deadline(),
        ]);
    }

    /// Relieves memory. Call it several times a second: memory may have become short because of
    /// other shards.
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        self.timers.tick(now);
        self.relieve();
        self.flush();
    }

    /// When [`Shard::turn`] wants to be called.
    pub const fn next_turn(&self) -> Option<Instant> {
        self.timers.next_turn()
    }

    /// Told when [`Shard::next_turn`] has come nearer.
    pub fn timer(&self) -> Rc<Notify> {
        self.timers.sooner()
    }

    /// Time has passed for what the client of `id` speaks.
    pub(in crate::shard) fn protocol_timeout(&mut self, id: ConnectionId) {
        let now = self.now;
        self.with_session(id, |session, rules, out| {
            session.handle_timeout(now, rules, out)
        });
        self.plain_timeout(id);
    }

    /// Time has passed for a client that polls, which may have made no request since its handshake.
    fn request_timeout(&mut self, id: ConnectionId) {
        let polling = self.connections.polling_mut(id);
        let expected = polling.and_then(|polling| polling.expected());
        if expected.is_some_and(|expected| expected <= self.now) {
            self.close(id, CloseReason::HandshakeTimeout);
        }
    }

    /// Time has passed for a client whose last message may be incomplete.
    fn message_timeout(&mut self, id: ConnectionId) {
        let wire = self.connections.wire_mut(SocketId::Client(id));
        let deadline = wire.and_then(|wire| wire.message_deadline());
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            self.close(id, CloseReason::MessageTimeout);
        }
    }
}
