//! Requests for sessions, and which transport they reach.

use std::rc::Rc;

use hyper::{Method, Request, Response, body::Incoming};
use womack_engine::{Sid, Speaks};
use womack_proto::{Handshake, Revision, SessionError, TransportKind};

use super::{
    body::Body,
    context::Http,
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
            Speaks::WebSocket(_) | Speaks::Lines => {
                self.plain_websocket(request, endpoint, connection)
            }
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
                self.websocket(request, purpose, connection)
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
}
