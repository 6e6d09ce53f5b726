//! Requests of polling clients, brought to their sessions as the server's own HTTP does it.
//!
//! Modelled on `womack/http/polling.rs` and `forward.rs`: this shard's sessions are asked at
//! once, those of other shards through their queues, and those of other nodes through the relay's.

use std::{
    cell::RefCell,
    net::Ipv4Addr,
    rc::{Rc, Weak},
    sync::Arc,
};

use bytes::Bytes;
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    task::spawn_local,
};
use womack_engine::{
    Context, MemorySocket, RequestKind, Sender, SessionRequest, Shard, Sid, Socket, ToShard, number,
};
use womack_ledger::Admitted;
use womack_proto::{Answer, Handshake, PollBody, Revision, SessionError, relay::AnswerLoss};

use crate::clock::now;

/// The endpoint of Socket.IO.
pub(crate) const SOCKET_IO: u8 = 1;

/// The answer of a shard that has dropped a request.
const NO_ANSWER: Answer = Answer::Refused(SessionError::BadRequest);

/// The HTTP of a node.
pub(crate) struct Http {
    pub(crate) context: Arc<Context>,
    pub(crate) shards: Vec<Rc<RefCell<Shard>>>,
    pub(crate) queues: Vec<Sender<ToShard>>,
    /// The queue of the relay.
    pub(crate) relay: Option<Sender<SessionRequest>>,
}

impl Http {
    /// A request without a session id reaches a shard.
    pub(crate) fn open_polling(
        &self,
        shard: usize,
        handshake: &Handshake,
    ) -> Result<PollBody, SessionError> {
        let admitted = self.admit()?;
        let mut shard = self.shards[shard % self.shards.len()].borrow_mut();
        shard.open_polling(SOCKET_IO, handshake, admitted, now())
    }

    /// A WebSocket that opens a session reaches a shard.
    pub(crate) fn open_websocket(
        &self,
        shard: usize,
        revision: Revision,
        socket: &MemorySocket,
    ) -> Result<(), SessionError> {
        let admitted = self.admit()?;
        let stream = Socket::Memory(socket.clone());
        let mut shard = self.shards[shard % self.shards.len()].borrow_mut();
        shard.open_websocket(stream, &[], SOCKET_IO, revision, admitted, now());
        Ok(())
    }

    /// A WebSocket that upgrades a session reaches the shard that has it.
    pub(crate) fn upgrade(&self, sid: Sid, socket: &MemorySocket) {
        let mut shard = self.shards[usize::from(sid.shard.0)].borrow_mut();
        shard.probe_in_memory(sid, socket.clone(), now());
    }

    fn admit(&self) -> Result<Admitted, SessionError> {
        let limits = self.context.config.limits.load();
        let address = Ipv4Addr::LOCALHOST.into();
        let admitted = self
            .context
            .admission
            .admit(address, limits.admission(), now());
        admitted.map_err(|_| SessionError::TooManySessions)
    }

    /// A GET of a session reaches a shard.
    pub(crate) fn poll(
        self: &Rc<Self>,
        shard: usize,
        sid: Sid,
        stamp: Option<u64>,
    ) -> Result<Poll, SessionError> {
        let token = number();
        let (answer, answered) = oneshot::channel();
        let kind = RequestKind::Poll {
            token,
            stamp,
            answer,
        };
        self.ask(shard, SessionRequest { sid, kind })?;
        Ok(Poll {
            http: Rc::downgrade(self),
            sid,
            token,
            answered,
            is_answered: false,
        })
    }

    /// A POST of a session reaches a shard.
    pub(crate) fn post(
        &self,
        shard: usize,
        sid: Sid,
        body: String,
    ) -> Result<oneshot::Receiver<Answer>, SessionError> {
        let (answer, answered) = oneshot::channel();
        let body = Bytes::from(body);
        let kind = RequestKind::Post { body, answer };
        self.ask(shard, SessionRequest { sid, kind })?;
        Ok(answered)
    }

    /// Whether a session is of this node.
    pub(crate) fn is_own(&self, sid: Sid) -> bool {
        sid.node == self.context.sids.node
    }

    fn ask(&self, shard: usize, request: SessionRequest) -> Result<(), SessionError> {
        let sid = request.sid;
        let is_known = match self.is_own(sid) {
            true => usize::from(sid.shard.0) < self.shards.len(),
            false => self.relay.is_some(),
        };
        if !is_known {
            return Err(SessionError::UnknownSid);
        }
        let shard = shard % self.shards.len();
        if self.is_own(sid) && usize::from(sid.shard.0) == shard {
            self.shards[shard]
                .borrow_mut()
                .handle_request(request, now());
            return Ok(());
        }
        self.forward(request)
    }

    /// The same through a queue, even to this shard.
    fn forward(&self, request: SessionRequest) -> Result<(), SessionError> {
        if !self.is_own(request.sid) {
            let relay = self.relay.as_ref().ok_or(SessionError::Overloaded)?;
            return relay.send(request).map_err(|_| SessionError::Overloaded);
        }
        let shard = &self.queues[usize::from(request.sid.shard.0)];
        shard
            .send(ToShard::Request(Box::new(request)))
            .map_err(|_| SessionError::Overloaded)
    }

    /// Tells the session that an answer may not have reached its client.
    pub(crate) fn report_loss(&self, sid: Sid, loss: AnswerLoss) {
        let kind = RequestKind::AnswerLost { loss };
        let request = SessionRequest { sid, kind };
        if !self.is_own(sid) {
            if let Some(relay) = self.relay.clone() {
                spawn_local(async move {
                    relay.push_waiting(request).await;
                    relay.wake();
                });
            }
            return;
        }
        let shard = self.queues[usize::from(sid.shard.0)].clone();
        spawn_local(async move {
            shard
                .push_waiting(ToShard::Request(Box::new(request)))
                .await;
            shard.wake();
        });
    }
}

/// A GET that waits for its answer. Dropping it before that is the client's going away.
pub(crate) struct Poll {
    /// Gone when the node has ended.
    http: Weak<Http>,
    sid: Sid,
    token: u64,
    answered: oneshot::Receiver<Answer>,
    is_answered: bool,
}

impl Poll {
    /// Takes the answer, if it has come.
    pub(crate) fn take(&mut self) -> Option<Result<PollBody, SessionError>> {
        let answer = match self.answered.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Closed) => NO_ANSWER,
            Err(TryRecvError::Empty) => return None,
        };
        self.is_answered = true;
        Some(answer.packets())
    }

    /// Whether the node that the GET has reached has ended, and with it the connection.
    pub(crate) fn has_lost_its_node(&self) -> bool {
        self.http.strong_count() == 0
    }

    /// The answer that was taken has not reached the client, or may not have.
    pub(crate) fn report_loss(&self, loss: AnswerLoss) {
        if let Some(http) = self.http.upgrade() {
            http.report_loss(self.sid, loss);
        }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        // An answer from here on finds nobody. An answer that is there already is lost.
        self.answered.close();
        match self.answered.try_recv() {
            Ok(Answer::Packets(_)) => self.report_loss(AnswerLoss::Certain),
            Ok(_) => {}
            Err(_) => {
                let kind = RequestKind::PollAborted { token: self.token };
                let sid = self.sid;
                if let Some(http) = self.http.upgrade() {
                    http.forward(SessionRequest { sid, kind }).ok();
                }
            }
        }
    }
}

/// Takes the answer to a POST, if it has come.
pub(crate) fn taken(answered: &mut oneshot::Receiver<Answer>) -> Option<Result<(), SessionError>> {
    match answered.try_recv() {
        Ok(answer) => Some(answer.taken()),
        Err(TryRecvError::Closed) => Some(NO_ANSWER.taken()),
        Err(TryRecvError::Empty) => None,
    }
}
