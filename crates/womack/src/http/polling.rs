//! Long-polling: a GET that waits for packets, a POST that brings them.

use std::{net::IpAddr, rc::Rc, time::Instant};

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use tokio::{sync::oneshot, time::timeout};
use womack_engine::{RequestKind, SessionRequest, Sid, number};
use womack_ledger::{Admitted, Limit};
use womack_proto::{Answer, Handshake, PollBody, SessionError, relay::AnswerLoss};

use super::{
    admission::client_of,
    answers::respond,
    body::Body,
    context::Http,
    delivery::{ClientConnection, LossReport, PollTarget},
    refusals::closing,
    request_body::{BodyError, collect},
};

/// The answer of a shard that has dropped a request.
const NO_ANSWER: Answer = Answer::Refused(SessionError::BadRequest);

impl Http {
    /// A request that opens a session.
    pub(super) fn first_poll(
        &self,
        request: &Request<Incoming>,
        handshake: &Handshake,
        endpoint: u8,
    ) -> Response<Body> {
        match self.admit(request) {
            Ok(admitted) => self.open_polling(handshake, endpoint, admitted),
            Err(error) => self.refuse(error),
        }
    }

    /// A request of a session.
    pub(super) async fn polling(
        self: &Rc<Self>,
        request: Request<Incoming>,
        poll: PollTarget,
        connection: &ClientConnection,
    ) -> Response<Body> {
        let slot = match self.relay_slot(poll.sid, client_of(&request)) {
            Ok(slot) => slot,
            Err(error) => return closing(self.refuse(error)),
        };
        let response = match *request.method() {
            Method::GET => self.poll(poll, connection).await,
            Method::POST => self.post(poll.sid, request).await,
            _ => self.refuse(SessionError::BadMethod),
        };
        drop(slot);
        response
    }

    fn open_polling(
        &self,
        handshake: &Handshake,
        endpoint: u8,
        admitted: Admitted,
    ) -> Response<Body> {
        let mut shard = self.shard.borrow_mut();
        match shard.open_polling(endpoint, handshake, admitted, Instant::now()) {
            Ok(PollBody { content, bytes }) => respond(StatusCode::OK, content.media_type(), bytes),
            Err(error) => self.refuse(error),
        }
    }

    async fn poll(
        self: &Rc<Self>,
        poll: PollTarget,
        connection: &ClientConnection,
    ) -> Response<Body> {
        let packets = self.packets_for(poll).await.and_then(Answer::packets);
        match packets {
            Ok(PollBody { content, bytes }) => {
                let ledger = self.server.engine.memory.ledger(self.id);
                let bytes = connection.answer(self.clone(), poll, bytes, ledger);
                respond(StatusCode::OK, content.media_type(), bytes)
            }
            Err(error) => self.refuse(error.of_server(self.status.is_draining())),
        }
    }

    /// Waits for what a session has to say.
    ///
    /// # Errors
    /// [`SessionError::Overloaded`] if its shard has no time for that.
    pub(super) async fn packets_for(
        self: &Rc<Self>,
        PollTarget { sid, stamp }: PollTarget,
    ) -> Result<Answer, SessionError> {
        self.stalled_polls.end(sid);
        let token = number();
        let (answer, answered) = oneshot::channel();
        let kind = RequestKind::Poll {
            token,
            stamp,
            answer,
        };
        self.ask(SessionRequest { sid, kind })?;
        let mut guard = AbortGuard {
            http: self,
            sid,
            token,
            answered,
            is_answered: false,
        };
        let answer = (&mut guard.answered).await;
        guard.is_answered = true;
        Ok(answer.unwrap_or(NO_ANSWER))
    }

    async fn post(&self, sid: Sid, request: Request<Incoming>) -> Response<Body> {
        let client = client_of(&request);
        let body = match self.read_body(request).await {
            Ok(body) => body,
            Err(error) => return closing(self.refuse(error)),
        };
        match self
            .hand_in(sid, body, client)
            .await
            .and_then(Answer::taken)
        {
            Ok(()) => respond(StatusCode::OK, "text/html", "ok"),
            Err(error) => self.refuse(error.of_server(self.status.is_draining())),
        }
    }

    /// Reads the body of a POST.
    ///
    /// # Errors
    /// [`SessionError`] for a body that is too large, takes too long or breaks off. The connection
    /// is to end with the answer.
    pub(super) async fn read_body(
        &self,
        request: Request<Incoming>,
    ) -> Result<Bytes, SessionError> {
        let most = self.server.config.limits.load().max_payload_bytes;
        let ledger = self.server.engine.memory.ledger(self.id);
        let body = collect(request.into_body(), most, ledger);
        match timeout(self.server.config.handshake_timeout, body).await {
            Err(_) => {
                self.server.metrics.limit(Limit::HandshakeSeconds);
                Err(SessionError::BodyTimeout)
            }
            Ok(Err(BodyError::TooLarge)) => {
                self.server.metrics.limit(Limit::MaxPayload);
                Err(SessionError::BodyTooLarge)
            }
            Ok(Err(BodyError::Broken)) => Err(SessionError::BadRequest),
            Ok(Ok(body)) => Ok(body),
        }
    }

    /// Brings the packets in `body`, which are those of `client`, to a session.
    ///
    /// # Errors
    /// [`SessionError::Overloaded`] if its shard has no time for that.
    pub(super) async fn hand_in(
        &self,
        sid: Sid,
        body: Bytes,
        client: IpAddr,
    ) -> Result<Answer, SessionError> {
        let bytes = self.relay_bytes(sid, client, body.len())?;
        let (answer, answered) = oneshot::channel();
        let kind = RequestKind::Post { body, answer };
        self.ask(SessionRequest { sid, kind })?;
        let answer = answered.await.unwrap_or(NO_ANSWER);
        if matches!(answer, Answer::Taken) {
            bytes.taken();
        }
        Ok(answer)
    }
}

/// Tells the session when the client of a GET goes away before the answer.
struct AbortGuard<'a> {
    http: &'a Rc<Http>,
    sid: Sid,
    token: u64,
    answered: oneshot::Receiver<Answer>,
    is_answered: bool,
}

impl Drop for AbortGuard<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        // An answer from here on finds nobody. An answer that is there already is lost.
        self.answered.close();
        match self.answered.try_recv() {
            Ok(Answer::Packets(_)) => {
                self.http.clone().report_loss(self.sid, AnswerLoss::Certain);
            }
            Ok(_) => {}
            Err(_) => {
                let kind = RequestKind::PollAborted { token: self.token };
                // Through the queue even to this shard, which may be at work below this drop. When
                // the queue is full, the session ends with its next time-out instead.
                self.http
                    .forward(SessionRequest {
                        sid: self.sid,
                        kind,
                    })
                    .ok();
            }
        }
    }
}
