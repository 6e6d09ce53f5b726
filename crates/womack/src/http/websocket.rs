//! The way from an HTTP request to a WebSocket.

use std::{rc::Rc, time::Instant};

use bytes::Bytes;
use http_body_util::Either;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    body::Incoming,
    http::Uri,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use tokio::{task::spawn_local, time::timeout};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use womack_engine::{ClientSocket, RequestKind, SessionRequest, Sid, SocketSlots};
use womack_ledger::Admitted;
use womack_proto::{NamespaceId, Revision, SessionError};

use super::{
    admission::client_of,
    body::{AnswerBytes, Body},
    context::Http,
    delivery::ClientConnection,
    traffic::Counted,
};

/// What a WebSocket is opened for.
pub(super) enum Purpose {
    /// A session of its own.
    Open {
        endpoint: u8,
        revision: Revision,
        admitted: Admitted,
    },
    /// To take over from polling.
    Upgrade(Sid),
    /// To be the transport of a Socket.IO 0.9 client, which learns through it that its session is
    /// not known.
    Attach(Option<Sid>),
    /// To carry what is no Engine.IO.
    Plain {
        endpoint: u8,
        namespace: NamespaceId,
        admitted: Admitted,
    },
}

impl Http {
    /// Answers a WebSocket handshake, and hands the stream over once the answer is out.
    pub(super) fn websocket(
        self: &Rc<Self>,
        mut request: Request<Incoming>,
        purpose: Purpose,
        connection: &ClientConnection,
    ) -> Response<Body> {
        let Some(headers) = accept(&request) else {
            return self.refuse(SessionError::BadRequest);
        };
        let relayed = match &purpose {
            Purpose::Upgrade(sid) | Purpose::Attach(Some(sid)) => {
                self.relay_slot(*sid, client_of(&request))
            }
            Purpose::Open { .. } | Purpose::Plain { .. } | Purpose::Attach(None) => Ok(None),
        };
        let relayed = match relayed {
            Ok(relayed) => relayed,
            Err(error) => return self.refuse(error),
        };
        let slots = SocketSlots {
            descriptor: connection.take_slot(),
            relayed,
        };
        let upgraded = upgrade::on(&mut request);
        spawn_local(self.clone().hand_over(upgraded, slots, purpose));
        let mut response = Response::new(Either::Left(AnswerBytes::default()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        response
    }

    /// Hands the stream of a WebSocket over, and what it counts by.
    async fn hand_over(self: Rc<Self>, upgraded: OnUpgrade, slots: SocketSlots, purpose: Purpose) {
        let Ok(Ok(upgraded)) = timeout(self.server.config.handshake_timeout, upgraded).await else {
            return tracing::debug!("a client went away during its WebSocket handshake");
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<Counted>>() else {
            return tracing::error!("a WebSocket came over something else than TCP");
        };
        let stream = parts.io.into_inner().into_inner().into_inner();
        let socket = match stream.and_then(tokio::net::TcpStream::into_std) {
            Ok(stream) => ClientSocket { stream, slots },
            Err(error) => return tracing::debug!(%error, "a stream was gone before it opened"),
        };
        let early: Bytes = parts.read_buf;
        let (sid, kind) = match purpose {
            Purpose::Open {
                endpoint,
                revision,
                admitted,
            } => {
                let mut shard = self.shard.borrow_mut();
                return shard.open_websocket(
                    socket.into(),
                    &early,
                    endpoint,
                    revision,
                    admitted,
                    Instant::now(),
                );
            }
            Purpose::Plain {
                endpoint,
                namespace,
                admitted,
            } => {
                let mut shard = self.shard.borrow_mut();
                return shard.open_plain(
                    socket.into(),
                    &early,
                    endpoint,
                    namespace,
                    admitted,
                    Instant::now(),
                );
            }
            Purpose::Upgrade(sid) => (sid, RequestKind::Upgrade { socket, early }),
            Purpose::Attach(Some(sid)) => (sid, RequestKind::Attach { socket, early }),
            Purpose::Attach(None) => {
                return self
                    .shard
                    .borrow_mut()
                    .turn_away_unknown(socket.into(), Instant::now());
            }
        };
        // A full queue drops the stream, which the client sees at once.
        self.ask(SessionRequest { sid, kind }).ok();
    }
}

/// The answer to a WebSocket handshake; `None` if the request is none.
fn accept<B>(request: &Request<B>) -> Option<HeaderMap> {
    let mut handshake = Request::new(());
    *handshake.method_mut() = Method::clone(request.method());
    *handshake.uri_mut() = Uri::clone(request.uri());
    *handshake.version_mut() = Version::clone(&request.version());
    *handshake.headers_mut() = HeaderMap::clone(request.headers());
    let response: Response<()> = create_response_with_body(&handshake, || ()).ok()?;
    Some(response.into_parts().0.headers)
}
