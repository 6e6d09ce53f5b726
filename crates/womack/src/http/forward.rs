//! The way of a request to its session: to this shard, to another, or to another node.

use std::{rc::Rc, time::Instant};

use tokio::task::spawn_local;
use womack_engine::{RequestKind, SessionRequest, Sid, ToShard};
use womack_proto::{SessionError, relay::AnswerLoss};

use super::{context::Http, delivery::LossReport};

impl Http {
    /// Whether the session id was made by this process, or may be brought to the one that made it.
    pub(super) fn knows(&self, sid: Sid) -> bool {
        match self.is_own(sid) {
            true => usize::from(sid.shard.0) < self.shards.len(),
            false => self.relay.is_some(),
        }
    }

    /// Whether a WebSocket for a session of another node, which would not last here, is to be
    /// opened elsewhere.
    pub(super) fn carries_no_more(&self, sid: Option<Sid>) -> bool {
        self.status.is_draining() && sid.is_some_and(|sid| !self.is_own(sid))
    }

    pub(super) fn is_own(&self, sid: Sid) -> bool {
        sid.node == self.server.engine.sids.node
    }

    /// Brings a request to its session: here at once, or through the queue of its shard, or of the
    /// relay that carries it to its node.
    ///
    /// # Errors
    /// [`SessionError::Overloaded`] if that queue is full.
    pub(super) fn ask(&self, request: SessionRequest) -> Result<(), SessionError> {
        if self.is_own(request.sid) && request.sid.shard == self.id {
            let mut shard = self.shard.borrow_mut();
            shard.handle_request(request, Instant::now());
            return Ok(());
        }
        self.forward(request)
    }

    /// The same through a queue, even to this shard, which may be at work below a drop.
    ///
    /// # Errors
    /// [`SessionError::Overloaded`] if that queue is full.
    pub(super) fn forward(&self, request: SessionRequest) -> Result<(), SessionError> {
        if !self.is_own(request.sid) {
            let relay = self.relay.as_ref().ok_or(SessionError::Overloaded)?;
            return relay.send(request).map_err(|_| SessionError::Overloaded);
        }
        self.server.metrics.http.forwarded.inc();
        let shard = &self.shards[usize::from(request.sid.shard.0)];
        shard
            .send(ToShard::Request(Box::new(request)))
            .map_err(|_| SessionError::Overloaded)
    }
}

impl LossReport for Http {
    /// The session must hear of it, so a queue that is full is waited for.
    fn report_loss(self: Rc<Self>, sid: Sid, loss: AnswerLoss) {
        let request = SessionRequest {
            sid,
            kind: RequestKind::AnswerLost { loss },
        };
        // Through the queue even to this shard, which may be at work below a drop.
        spawn_local(async move {
            if !self.is_own(sid) {
                if let Some(relay) = &self.relay {
                    relay.push_waiting(request).await;
                    relay.wake();
                }
                return;
            }
            let shard = &self.shards[usize::from(sid.shard.0)];
            shard
                .push_waiting(ToShard::Request(Box::new(request)))
                .await;
            shard.wake();
        });
    }
}
