//! The way from an HTTP request to a WebSocket.

use std::{net::TcpStream, rc::Rc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use tokio::{task::spawn_local, time::timeout};
use womack_proto::{HandshakeError, Revision};

use super::{Body, Http};
use crate::{
    command::{RequestKind, SessionRequest},
    sid::Sid,
    websocket,
};

impl Http {
    /// Answers a WebSocket handshake, and hands the stream over once the answer is out.
    pub(super) fn websocket(
        self: &Rc<Self>,
        mut request: Request<Incoming>,
        revision: Revision,
        sid: Option<Sid>,
        endpoint: u8,
    ) -> Response<Body> {
        let Some(headers) = websocket::accept(&request) else {
            return self.refuse(HandshakeError::BadRequest);
        };
        let upgraded = upgrade::on(&mut request);
        spawn_local(self.clone().hand_over(upgraded, revision, sid, endpoint));
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        response
    }

    async fn hand_over(
        self: Rc<Self>,
        upgraded: OnUpgrade,
        revision: Revision,
        sid: Option<Sid>,
        endpoint: u8,
    ) {
        let Ok(Ok(upgraded)) = timeout(self.common.config.handshake_timeout, upgraded).await else {
            return tracing::debug!("a client went away during its WebSocket handshake");
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<tokio::net::TcpStream>>() else {
            return tracing::error!("a WebSocket came over something else than TCP");
        };
        let stream: TcpStream = match parts.io.into_inner().into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "a stream was gone before it opened"),
        };
        match sid {
            None => {
                self.shard
                    .borrow_mut()
                    .open_websocket(stream, &parts.read_buf, endpoint, revision)
            }
            Some(sid) => {
                let early: Bytes = parts.read_buf;
                // A full queue drops the stream, which the client sees at once.
                self.ask(SessionRequest {
                    sid,
                    kind: RequestKind::Upgrade { stream, early },
                })
                .ok();
            }
        }
    }
}
