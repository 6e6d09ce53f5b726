//! Requests for sessions: which endpoint they reach, and who may open one.

use std::{rc::Rc, time::Instant};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{HeaderValue, RETRY_AFTER},
};
use womack_engine::{Sid, Speaks};
use womack_ledger::{AdmissionError, Admitted, Limit};
use womack_proto::{Handshake, Revision, SessionError, TransportKind};

use super::{
    Body, ClientAddress, Http,
    answers::respond,
    cors,
    delivery::{ClientConnection, PollTarget},
    websocket::Purpose,
};

impl Http {
    pub(super) async fn endpoint_request(
        self: &Rc<Self>,
        request: Request<Incoming>,
        endpoint: u8,
        connection: &ClientConnection,
    ) -> Response<Body> {
        match self.server.engine.endpoints[usize::from(endpoint)].speaks {
            Speaks::SocketIo | Speaks::EngineIo(_) => {
                self.session_request(request, endpoint, connection).await
            }
            Speaks::WebSocket(_) | Speaks::Lines => self.plain_websocket(request, endpoint),
            Speaks::Events => {
                let cut = connection.cut.clone();
                self.events(request, endpoint, cut).await
            }
        }
    }

    /// A request of a Socket.IO client.
    pub(super) async fn session_request(
        self: &Rc<Self>,
        request: Request<Incoming>,
        endpoint: u8,
        connection: &ClientConnection,
    ) -> Response<Body> {
        let handshake = match self.handshake(request.uri().query().unwrap_or_default()) {
            Ok(handshake) => handshake,
            // The official server looks at the method before the version.
            Err(SessionError::UnsupportedVersion) if request.method() != Method::GET => {
                return self.refuse(SessionError::BadMethod);
            }
            Err(error) => return self.refuse(error),
        };
        let sid = match handshake.sid.as_deref().map(Sid::parse) {
            None => None,
            Some(Some(sid)) if self.knows(sid) => Some(sid),
            Some(_) => return self.refuse(SessionError::UnknownSid),
        };
        if sid.is_none() && request.method() != Method::GET {
            return self.refuse(SessionError::BadMethod);
        }
        match handshake.transport {
            TransportKind::WebSocket if self.carries_no_more(sid) => {
                self.refuse(SessionError::Draining)
            }
            TransportKind::WebSocket => {
                let purpose = match sid {
                    Some(sid) => Purpose::Upgrade(sid),
                    None => match self.admit(&request) {
                        Err(error) => return self.refuse(error),
                        Ok(admitted) => Purpose::Open {
                            endpoint,
                            revision: handshake.revision,
                            admitted,
                        },
                    },
                };
                self.websocket(request, purpose)
            }
            TransportKind::Polling => match sid {
                None => self.first_poll(&request, &handshake, endpoint),
                Some(sid) => {
                    self.polling(
                        request,
                        PollTarget {
                            sid,
                            stamp: handshake.stamp,
                        },
                        connection,
                    )
                    .await
                }
            },
        }
    }

    /// Reads the query of a request, as far as the server is to speak what it asks for.
    pub(super) fn handshake(&self, query: &str) -> Result<Handshake, SessionError> {
        let handshake = Handshake::parse(query)?;
        let refused = self.server.config.no_eio3 && handshake.revision == Revision::V3;
        if refused && handshake.sid.is_none() {
            return Err(SessionError::UnsupportedVersion);
        }
        if handshake.jsonp.is_some() && !cors::allows_scripts(&self.server.config.cors_origins) {
            return Err(SessionError::Forbidden);
        }
        Ok(handshake)
    }

    /// Whether whoever sent `request` may open a session.
    ///
    /// # Errors
    /// [`SessionError`] to who may not now. The limit that is reached is counted.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<Admitted, SessionError> {
        if self.status.is_draining() {
            return Err(SessionError::Draining);
        }
        let client = request.extensions().get();
        let &ClientAddress(client) = client.expect("every request to an endpoint has one");
        let (server, now) = (&self.server, Instant::now());
        let limits = server.config.limits.load();
        if server.engine.memory.is_tight(limits.memory_budget_bytes) {
            server.metrics.limit(Limit::MemoryBudget);
            return Err(SessionError::NoMemory);
        }
        let admitted = server
            .engine
            .admission
            .admit(client, limits.admission(), now);
        admitted.map_err(|error| {
            server.metrics.limit(error.limit());
            match error {
                AdmissionError::Connections | AdmissionError::Address => {
                    SessionError::TooManySessions
                }
                AdmissionError::Pace => SessionError::TooManyPerSecond,
            }
        })
    }

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

    /// Refuses a request, and counts that.
    pub(super) fn refuse(&self, error: SessionError) -> Response<Body> {
        let reason = error.metric_label();
        tracing::debug!(reason, %error, "request refused");
        if let Some(reason) = reason {
            self.server.metrics.http.refused(reason);
        }
        let status = StatusCode::from_u16(error.status()).expect("a status code has three digits");
        let mut response = respond(status, error.media_type(), error.body());
        if let Some(seconds) = error.retry_after() {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }
}
