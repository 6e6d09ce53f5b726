//! HTTP: connections and the route table.

mod accept;
mod admin;
mod assets;
mod client_stream;
mod cors;
mod delivery;
mod events;
mod keep_alive;
mod legacy;
mod plain;
mod polling;
mod proxies;
mod publish;
mod stats;
mod websocket;

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    io::ErrorKind,
    net::IpAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
        UPGRADE, X_CONTENT_TYPE_OPTIONS,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, select};
use tokio_util::sync::CancellationToken;
use womack_engine::{
    Context, DirtyChannels, Sender, SessionRequest, Shard, ShardId, Sid, Speaks, ToShard,
};
use womack_ledger::{Admitted, HTTP_BYTES, Limit};
use womack_proto::{Handshake, HandshakeError, Revision, TransportKind};
use womack_redis::Publisher;

pub(crate) use self::{
    accept::{Connections, Listener, serve},
    assets::Assets as Files,
    proxies::ClientAddress,
};
use self::{
    assets::Audience,
    delivery::ClientConnection,
    events::EventBody,
    keep_alive::{Counted, SilenceTimer, Traffic},
    websocket::Purpose,
};
use crate::runtime::ServerContext;
use crate::{admin::Surveyor, config::Config, runtime::Status};

type Body = Either<Full<Bytes>, EventBody>;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What serves a shard's HTTP connections.
pub(crate) struct Http {
    pub(crate) shard: Rc<RefCell<Shard>>,
    pub(crate) id: ShardId,
    pub(crate) server: Arc<ServerContext>,
    /// The queues of all shards, this one's too.
    pub(crate) shards: Vec<Sender<ToShard>>,
    pub(crate) dirty: Arc<DirtyChannels>,
    pub(crate) status: Arc<Status>,
    pub(crate) assets: Arc<Files>,
    /// Carries requests to the nodes of their sessions, if that is done.
    pub(crate) relay: Option<Sender<SessionRequest>>,
    /// Knows the channels of all shards.
    pub(crate) surveyor: Surveyor,
    /// Publishes for those who ask by HTTP, at the listener for operators.
    pub(crate) publisher: Option<Publisher>,
    /// Tells clients for how long a connection stays on which nothing is asked.
    pub(crate) keep_alive: HeaderValue,
}

/// Which paths a listener serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Surface {
    /// Clients, pages, and what operators read.
    All,
    /// Clients and pages.
    Clients,
    /// What operators read, and publishing.
    Admin,
}

pub(crate) fn assets() -> Arc<Files> {
    Arc::new(Files::new())
}

/// The value of the header that tells for how long a connection stays between two requests.
pub(crate) fn keep_alive_header(config: &Config) -> HeaderValue {
    let text = format!("timeout={}", config.keep_alive.as_secs());
    HeaderValue::from_str(&text).expect("a number is a header's value")
}

/// Serves one connection until it ends, or until `closing` has it end after the request that it is
/// at.
async fn serve_connection(
    http: Rc<Http>,
    mut stream: TcpStream,
    from: IpAddr,
    surface: Surface,
    closing: CancellationToken,
) {
    let config = &http.server.config;
    let peer = match surface {
        Surface::Admin => Ok(from),
        Surface::All | Surface::Clients => proxies::peer(&mut stream, from, config).await,
    };
    let peer = match peer {
        Ok(peer) => peer,
        Err(error) => {
            http.server.metrics.http.refused("proxy_protocol");
            if error.kind() == ErrorKind::TimedOut {
                http.server.metrics.limit(Limit::HandshakeSeconds);
            }
            return tracing::debug!(%from, %error, "a proxy does not begin as it should");
        }
    };
    let (client, stream) = ClientConnection::new(stream);
    let _charge = http.server.engine.memory.ledger(http.id).hold(HTTP_BYTES);
    let has_asked = Cell::new(false);
    let service = service_fn(|request| {
        has_asked.set(true);
        client.heard();
        let is_proxied = peer != from || is_forwarded(request.headers());
        client.is_proxied.set(is_proxied);
        let (http, client) = (http.clone(), client.clone());
        async move {
            let mut response = http.clone().respond(request, peer, surface, client).await;
            http.announce_persistence(&mut response);
            Ok::<_, Infallible>(response)
        }
    });
    let traffic = Arc::new(Traffic::default());
    let timer = SilenceTimer::new(config.handshake_timeout, config.keep_alive, Instant::now());
    let connection = http1::Builder::new()
        // The time that hyper has for a head runs between two requests too.
        .header_read_timeout(None)
        .max_buf_size(config.limits.load().max_head_bytes)
        .serve_connection(TokioIo::new(Counted::new(stream, traffic.clone())), service)
        .with_upgrades();
    let ended = {
        // Dropped before it is known how the stream ended.
        let mut connection = pin!(connection);
        select! {
            // First, so that the others see what it has done.
            biased;
            ended = connection.as_mut() => ended,
            limit = traffic.silence(timer, || client.is_answering()) => {
                let name = limit.as_str();
                tracing::debug!(limit = name, "an HTTP connection was silent for too long");
                http.server.metrics.limit(limit);
                Ok(())
            }
            () = closing.cancelled() => {
                let ending = async {
                    // A client that has only just connected is answered, which ends the connection too: a
                    // request may be on its way, and would be met by a reset.
                    if !has_asked.get() {
                        return connection.await;
                    }
                    keep_alive::finish(connection, |connection| connection.graceful_shutdown()).await
                };
                select! {
                    ended = ending => ended,
                    () = client.cut.notified() => return,
                }
            }
            () = client.cut.notified() => return,
        }
    };
    if let Err(error) = ended {
        if error.is_parse_too_large() {
            http.server.metrics.limit(Limit::MaxHeadBytes);
        } else if error.is_parse() {
            http.server.metrics.http.refused("bad_request");
        }
        tracing::debug!(%error, "an HTTP connection ended");
    }
    let patience = http.server.config.handshake_timeout;
    client.settle(patience, &closing).await;
}

impl Http {
    /// Tells with an answer whether its connection stays, and for how long when nothing is asked.
    fn announce_persistence(&self, response: &mut Response<Body>) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let headers = response.headers_mut();
        if self.status.is_draining() {
            // The next request goes to a node that stays.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if !headers.contains_key(CONNECTION) {
            headers.insert(KEEP_ALIVE, self.keep_alive.clone());
        }
    }

    async fn respond(
        self: Rc<Self>,
        mut request: Request<Incoming>,
        peer: IpAddr,
        surface: Surface,
        connection: Rc<ClientConnection>,
    ) -> Response<Body> {
        let origin = request.headers().get(hyper::header::ORIGIN).cloned();
        let endpoint = self.endpoint(&request);
        if let Some((endpoint, legacy)) = endpoint.filter(|_| surface != Surface::Admin) {
            let requested = request.headers().get(cors::REQUEST_HEADERS).cloned();
            let origins = &self.server.config.cors_origins;
            if !cors::allows(origins, origin.as_ref()) {
                return self.refuse(HandshakeError::Forbidden);
            }
            let trusted = &self.server.config.nodes.trusted_proxies;
            let client = ClientAddress::of(peer, request.headers(), trusted);
            tracing::debug!(client = %client.0, uri = %request.uri(), "request");
            request.extensions_mut().insert(client);
            let preflight = request.method() == Method::OPTIONS;
            let mut response = match preflight {
                true => plain(StatusCode::NO_CONTENT, ""),
                false if legacy => self.legacy_request(request, endpoint, &connection).await,
                false => self.endpoint_request(request, endpoint, &connection).await,
            };
            cors::add(
                response.headers_mut(),
                origin,
                preflight.then_some(requested),
            );
            return response;
        }
        let path = request.uri().path();
        if surface == Surface::Admin
            && path == "/publish"
            && let Some(publisher) = &self.publisher
        {
            return self.publish(request, publisher).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        // Who is on this machine and comes from nobody else may know what operators may know.
        let names = surface == Surface::Admin
            || (peer.to_canonical().is_loopback() && !is_forwarded(request.headers()));
        let query = request.uri().query().unwrap_or_default();
        if surface != Surface::Clients
            && let Some(response) = self.admin(path, query, request.headers(), names).await
        {
            return response;
        }
        if surface != Surface::Admin
            && let Some(response) = self.assets.get(Audience::Everyone, path, request.headers())
        {
            return response;
        }
        plain(StatusCode::NOT_FOUND, "not found\n")
    }

    /// The endpoint that a request is for, and whether its path is one of Socket.IO 0.9.
    fn endpoint(&self, request: &Request<Incoming>) -> Option<(u8, bool)> {
        let path = request.uri().path();
        let endpoints = (0..).zip(&self.server.engine.endpoints);
        if request.headers().contains_key(UPGRADE)
            && let Some((any, _)) = endpoints.clone().find(|(_, found)| found.path == "*")
        {
            return Some((any, false));
        }
        let mut found = endpoints.filter_map(|(index, endpoint)| {
            let root = endpoint.path.strip_suffix('/').unwrap_or(&endpoint.path);
            let below = path.strip_prefix(root)?;
            let is_legacy = !self.server.config.no_legacy
                && matches!(endpoint.speaks, Speaks::SocketIo)
                && legacy::below(below).is_some();
            (is_legacy || matches!(below, "" | "/")).then_some((index, is_legacy))
        });
        found.next()
    }

    async fn endpoint_request(
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
    async fn session_request(
        self: &Rc<Self>,
        request: Request<Incoming>,
        endpoint: u8,
        connection: &ClientConnection,
    ) -> Response<Body> {
        let handshake = match self.handshake(request.uri().query().unwrap_or_default()) {
            Ok(handshake) => handshake,
            // The official server looks at the method before the version.
            Err(HandshakeError::UnsupportedVersion) if request.method() != Method::GET => {
                return self.refuse(HandshakeError::BadMethod);
            }
            Err(error) => return self.refuse(error),
        };
        let sid = match handshake.sid.as_deref().map(Sid::parse) {
            None => None,
            Some(Some(sid)) if self.knows(sid) => Some(sid),
            Some(_) => return self.refuse(HandshakeError::UnknownSid),
        };
        if sid.is_none() && request.method() != Method::GET {
            return self.refuse(HandshakeError::BadMethod);
        }
        match handshake.transport {
            TransportKind::WebSocket if self.carries_no_more(sid) => unavailable("draining\n", "1"),
            TransportKind::WebSocket => {
                let purpose = match sid {
                    Some(sid) => Purpose::Upgrade(sid),
                    None => match self.admit(&request) {
                        Err(refusal) => return *refusal,
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
                    self.polling(request, (sid, handshake.stamp), connection)
                        .await
                }
            },
        }
    }

    /// Reads the query of a request, as far as the server is to speak what it asks for.
    fn handshake(&self, query: &str) -> Result<Handshake, HandshakeError> {
        let handshake = Handshake::parse(query)?;
        let refused = self.server.config.no_eio3 && handshake.revision == Revision::V3;
        if refused && handshake.sid.is_none() {
            return Err(HandshakeError::UnsupportedVersion);
        }
        if handshake.jsonp.is_some() && !cors::allows_scripts(&self.server.config.cors_origins) {
            return Err(HandshakeError::Forbidden);
        }
        Ok(handshake)
    }

    /// Whether whoever sent `request` may open a session.
    ///
    /// # Errors
    /// The answer to who may not now.
    fn admit<B>(&self, request: &Request<B>) -> Result<Admitted, Box<Response<Body>>> {
        if self.status.is_draining() {
            return Err(Box::new(unavailable("draining\n", "1")));
        }
        let client = request.extensions().get();
        let &ClientAddress(client) = client.expect("every request to an endpoint has one");
        let (server, now) = (&self.server, Instant::now());
        let limits = server.config.limits.load();
        if server.engine.memory.is_tight(limits.memory_budget_bytes) {
            server.metrics.limit(Limit::MemoryBudget);
            return Err(Box::new(unavailable("no memory\n", "5")));
        }
        let admitted = server
            .engine
            .admission
            .admit(client, limits.admission(), now);
        admitted.map_err(|full| {
            server.metrics.limit(full.limit());
            Box::new(unavailable("no room\n", full.retry_after()))
        })
    }

    /// Whether the session id was made by this process, or may be brought to the one that made it.
    fn knows(&self, sid: Sid) -> bool {
        match self.is_own(sid) {
            true => usize::from(sid.shard.0) < self.shards.len(),
            false => self.relay.is_some(),
        }
    }

    /// Whether a WebSocket for a session of another node, which would not last here, is to be
    /// opened elsewhere.
    fn carries_no_more(&self, sid: Option<Sid>) -> bool {
        self.status.is_draining() && sid.is_some_and(|sid| !self.is_own(sid))
    }

    fn is_own(&self, sid: Sid) -> bool {
        sid.node == self.server.engine.sids.node
    }

    fn refuse(&self, error: HandshakeError) -> Response<Body> {
        let reason = match error {
            HandshakeError::UnknownTransport => "unknown_transport",
            HandshakeError::UnknownSid => "unknown_sid",
            HandshakeError::NodeGone => "node_gone",
            HandshakeError::BadMethod => "bad_method",
            HandshakeError::Forbidden => "forbidden",
            HandshakeError::UnsupportedVersion => "unsupported_version",
            _ => "bad_request",
        };
        tracing::debug!(reason, "request refused");
        self.server.metrics.http.refused(reason);
        let status = match error {
            HandshakeError::Forbidden => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        };
        respond(status, "application/json", error.body())
    }
}

/// Whether a proxy says that it speaks for somebody else.
fn is_forwarded(headers: &HeaderMap) -> bool {
    let mut by_proxies = ["forwarded", "x-forwarded-for", "via"].into_iter();
    by_proxies.any(|name| headers.contains_key(name))
}

/// The answer to for whom no session is opened before some seconds have passed.
fn unavailable(why: &'static str, retry_after: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, why);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    respond(status, "text/plain; charset=UTF-8", text)
}

/// A response that nobody stores and nobody takes for another type than it says.
fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
