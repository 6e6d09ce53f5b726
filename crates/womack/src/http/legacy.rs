//! The requests of Socket.IO 0.9: a handshake, then a transport of the session that it opened.
//!
//! Packets come and go as over [`polling`](super::polling), but errors are packets too: a client
//! looks for them in answers with status 200. Pages of browsers that know no CORS use scripts and
//! forms, which any page may; so they are refused where not every origin may connect.

use std::{rc::Rc, time::Instant};

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use womack_engine::{RequestKind, SessionRequest, Sid};
use womack_proto::{
    Answer, SessionError,
    legacy_handshake::{self, JsonpIndex, Transport},
};

use super::{
    admission::client_of,
    answers::respond,
    body::{AnswerBytes, Body},
    context::Http,
    cors,
    delivery::{ClientConnection, PollTarget},
    refusals::closing,
    websocket::Purpose,
};

const TEXT: &str = "text/plain; charset=UTF-8";
const SCRIPT: &str = "text/javascript; charset=UTF-8";

/// What follows `/1` in a path below an endpoint; `None` if the path is not one of Socket.IO 0.9.
pub(super) fn below(path: &str) -> Option<&str> {
    let below = path.strip_prefix("/1")?;
    (below.is_empty() || below.starts_with('/')).then_some(below)
}

impl Http {
    /// A request of a Socket.IO 0.9 client.
    pub(super) async fn legacy_request(
        self: &Rc<Self>,
        request: Request<Incoming>,
        endpoint: u8,
        connection: &ClientConnection,
    ) -> Response<Body> {
        use legacy_handshake::Request::{Disconnect, Handshake, Transport as Carry};

        let path = request.uri().path().to_owned();
        let root = &self.server.engine.endpoints[usize::from(endpoint)].path;
        let root = root.strip_suffix('/').unwrap_or(root);
        let below = path.strip_prefix(root).and_then(below).unwrap_or_default();
        let query = request.uri().query().unwrap_or_default();
        match legacy_handshake::Request::parse(below, query) {
            Err(error) => self.refuse(error),
            Ok(Handshake { .. }) if request.method() != Method::GET => {
                self.refuse(SessionError::BadMethod)
            }
            Ok(Handshake { jsonp: Some(_) }) if !self.offers_scripts() => {
                self.refuse(SessionError::Forbidden)
            }
            Ok(Handshake { jsonp }) => self.shake_hands(&request, endpoint, jsonp),
            Ok(Disconnect { sid }) => self.goodbye(self.known(sid)),
            Ok(Carry { transport, sid }) => {
                let sid = self.known(sid);
                match transport {
                    Transport::WebSocket if self.carries_no_more(sid) => {
                        self.refuse(SessionError::Draining)
                    }
                    Transport::WebSocket => {
                        self.websocket(request, Purpose::Attach(sid), connection)
                    }
                    Transport::XhrPolling => {
                        self.legacy_polling(request, sid, None, connection).await
                    }
                    Transport::JsonpPolling(_) if !self.offers_scripts() => {
                        self.refuse(SessionError::Forbidden)
                    }
                    Transport::JsonpPolling(index) => {
                        self.legacy_polling(request, sid, Some(index), connection)
                            .await
                    }
                }
            }
        }
    }

    fn offers_scripts(&self) -> bool {
        cors::allows_scripts(&self.server.config.cors_origins)
    }

    fn known(&self, sid: &str) -> Option<Sid> {
        Sid::parse(sid).filter(|sid| self.knows(*sid))
    }

    fn shake_hands(
        &self,
        request: &Request<Incoming>,
        endpoint: u8,
        jsonp: Option<JsonpIndex>,
    ) -> Response<Body> {
        let handshaken = self.admit(request).and_then(|admitted| {
            let scripts = self.offers_scripts();
            let mut shard = self.shard.borrow_mut();
            shard.shake_hands(endpoint, scripts, admitted, Instant::now())
        });
        match (handshaken, jsonp) {
            (Ok(line), _) => answer(jsonp, line.into()),
            (Err(error), None) => self.refuse(error),
            // A page learns of an error only by a script that says so.
            (Err(error), Some(index)) => {
                let script = index.error_script(error.script_word());
                respond(StatusCode::OK, SCRIPT, script)
            }
        }
    }

    fn goodbye(&self, sid: Option<Sid>) -> Response<Body> {
        if let Some(sid) = sid {
            let kind = RequestKind::Goodbye;
            // When the queue is full, the session ends with its next time-out instead.
            self.ask(SessionRequest { sid, kind }).ok();
        }
        respond(StatusCode::OK, TEXT, "")
    }

    async fn legacy_polling(
        self: &Rc<Self>,
        request: Request<Incoming>,
        sid: Option<Sid>,
        jsonp: Option<JsonpIndex>,
        connection: &ClientConnection,
    ) -> Response<Body> {
        let slot = sid.map(|sid| self.relay_slot(sid, client_of(&request)));
        let slot = match slot.transpose() {
            Ok(slot) => slot,
            Err(error) => return closing(self.refuse(error)),
        };
        let response = match *request.method() {
            Method::GET => self.legacy_poll(sid, jsonp, connection).await,
            Method::POST => self.legacy_post(request, sid, jsonp).await,
            _ => self.refuse(SessionError::BadMethod),
        };
        drop(slot);
        response
    }

    async fn legacy_poll(
        self: &Rc<Self>,
        sid: Option<Sid>,
        jsonp: Option<JsonpIndex>,
        connection: &ClientConnection,
    ) -> Response<Body> {
        let Some(sid) = sid else {
            return self.refuse_legacy(SessionError::UnknownSid, jsonp);
        };
        // Stamps of 0.9 are milliseconds, of which two polls may have the same.
        let poll = PollTarget { sid, stamp: None };
        match self.packets_for(poll).await.and_then(Answer::packets) {
            Ok(body) => {
                let ledger = self.server.engine.memory.ledger(self.id);
                let watch = |bytes| connection.answer(self.clone(), poll, bytes, ledger);
                answer_watched(jsonp, body.bytes, watch)
            }
            // A GET has nothing in it that could be bad: its session polls no more.
            Err(SessionError::BadRequest) => self.refuse_legacy(SessionError::UnknownSid, jsonp),
            Err(error) => self.refuse_legacy(error, jsonp),
        }
    }

    async fn legacy_post(
        &self,
        request: Request<Incoming>,
        sid: Option<Sid>,
        jsonp: Option<JsonpIndex>,
    ) -> Response<Body> {
        let client = client_of(&request);
        let mut body = match self.read_body(request).await {
            Ok(body) => body,
            Err(error) => return closing(self.refuse(error)),
        };
        if jsonp.is_some() {
            body = match legacy_handshake::form_payload(&body) {
                Ok(payload) => {
                    let ledger = self.server.engine.memory.ledger(self.id);
                    ledger.keep(payload.into())
                }
                Err(_) => return self.refuse(SessionError::BadRequest),
            };
        }
        let Some(sid) = sid else {
            return self.refuse_legacy(SessionError::UnknownSid, None);
        };
        match self
            .hand_in(sid, body, client)
            .await
            .and_then(Answer::taken)
        {
            Ok(()) => respond(StatusCode::OK, TEXT, "1"),
            Err(error) => self.refuse_legacy(error, None),
        }
    }

    /// Refuses a request of a session, in a packet where there is one for that.
    fn refuse_legacy(&self, error: SessionError, jsonp: Option<JsonpIndex>) -> Response<Body> {
        let Some(packet) = error.legacy_packet() else {
            return self.refuse(error);
        };
        // Whatever ended its session, the client has to shake hands again, and is counted so.
        if let Some(label) = SessionError::UnknownSid.metric_label() {
            self.server.metrics.http.refused(label);
        }
        answer(jsonp, packet.into())
    }
}

/// An answer as text, or in the script that a page waits for.
fn answer(jsonp: Option<JsonpIndex>, text: Bytes) -> Response<Body> {
    answer_watched(jsonp, text, AnswerBytes::from)
}

/// The same, whose bytes go out as `watch` returns them.
fn answer_watched(
    jsonp: Option<JsonpIndex>,
    text: Bytes,
    watch: impl FnOnce(Bytes) -> AnswerBytes,
) -> Response<Body> {
    match jsonp {
        None => respond(StatusCode::OK, TEXT, watch(text)),
        Some(index) => {
            let script = index.script(&String::from_utf8_lossy(&text));
            respond(StatusCode::OK, SCRIPT, watch(script.into()))
        }
    }
}
