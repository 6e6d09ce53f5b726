//! Long-polling: a GET that waits for packets, a POST that brings them.

use std::{
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use tokio::{sync::oneshot, time::timeout};
use womack_proto::{Handshake, HandshakeError};

use super::{Body, Http, plain, respond};
use crate::{
    command::{PollAnswer, PollBody, PostAnswer, RequestKind, SessionRequest, ToShard},
    sid::Sid,
};

/// Numbers the GETs of this process.
static TOKENS: AtomicU64 = AtomicU64::new(0);

impl Http {
    pub(super) async fn polling(
        self: &Rc<Self>,
        request: Request<Incoming>,
        handshake: &Handshake,
        sid: Option<Sid>,
        endpoint: u8,
    ) -> Response<Body> {
        match (sid, request.method()) {
            (None, _) => self.open_polling(handshake, endpoint),
            (Some(sid), &Method::GET) => self.poll(sid).await,
            (Some(sid), &Method::POST) => self.post(sid, request).await,
            (Some(_), _) => self.refuse(HandshakeError::BadMethod),
        }
    }

    fn open_polling(&self, handshake: &Handshake, endpoint: u8) -> Response<Body> {
        match self.shard.borrow_mut().open_polling(endpoint, handshake) {
            Some(body) => packets(body),
            None => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "no session can be opened\n",
            ),
        }
    }

    async fn poll(&self, sid: Sid) -> Response<Body> {
        let token = TOKENS.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        if self
            .ask(SessionRequest {
                sid,
                kind: RequestKind::Poll { token, answer },
            })
            .is_err()
        {
            return overloaded();
        }
        let mut guard = AbortGuard {
            http: self,
            sid,
            token,
            armed: true,
        };
        let answer = answered.await;
        guard.armed = false;
        match answer {
            Ok(PollAnswer::Packets(body)) => packets(body),
            Ok(PollAnswer::UnknownSid) => self.refuse(HandshakeError::UnknownSid),
            Ok(PollAnswer::BadRequest) | Err(_) => self.refuse(HandshakeError::BadRequest),
        }
    }

    async fn post(&self, sid: Sid, request: Request<Incoming>) -> Response<Body> {
        let most = self.common.config.max_payload_bytes;
        let body = Limited::new(request.into_body(), most).collect();
        let body: Bytes = match timeout(self.common.config.handshake_timeout, body).await {
            Err(_) => {
                self.common.metrics.limit("handshake_seconds");
                return closing(plain(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body took too long\n",
                ));
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                self.common.metrics.limit("max_payload");
                return closing(plain(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is too large\n",
                ));
            }
            Ok(Err(_)) => return closing(self.refuse(HandshakeError::BadRequest)),
            Ok(Ok(body)) => body.to_bytes(),
        };
        let (answer, answered) = oneshot::channel();
        if self
            .ask(SessionRequest {
                sid,
                kind: RequestKind::Post { body, answer },
            })
            .is_err()
        {
            return overloaded();
        }
        match answered.await {
            Ok(PostAnswer::Ok) => respond(StatusCode::OK, "text/html", "ok"),
            Ok(PostAnswer::UnknownSid) => self.refuse(HandshakeError::UnknownSid),
            Ok(PostAnswer::BadRequest) | Err(_) => self.refuse(HandshakeError::BadRequest),
        }
    }

    /// Brings a request to its session: here at once, or through the queue of its shard.
    ///
    /// # Errors
    /// That queue is full.
    pub(super) fn ask(&self, request: SessionRequest) -> Result<(), ()> {
        if request.sid.shard == self.id {
            let mut shard = self.shard.borrow_mut();
            shard.request(request);
            shard.flush();
            return Ok(());
        }
        self.common.metrics.forwarded.inc();
        self.forward(request)
    }

    fn forward(&self, request: SessionRequest) -> Result<(), ()> {
        let shard = &self.shards[usize::from(request.sid.shard.0)];
        shard
            .send(ToShard::Request(Box::new(request)))
            .map_err(drop)
    }
}

/// Tells the session when the client of a GET goes away before the answer.
struct AbortGuard<'a> {
    http: &'a Http,
    sid: Sid,
    token: u64,
    armed: bool,
}

impl Drop for AbortGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
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

fn packets(PollBody { bytes, content }: PollBody) -> Response<Body> {
    respond(StatusCode::OK, content.media_type(), bytes)
}

/// What is left of the request's body is not read: the connection ends with the response.
fn closing(mut response: Response<Body>) -> Response<Body> {
    let close = hyper::header::HeaderValue::from_static("close");
    response
        .headers_mut()
        .insert(hyper::header::CONNECTION, close);
    response
}

fn overloaded() -> Response<Body> {
    plain(StatusCode::SERVICE_UNAVAILABLE, "overloaded\n")
}
