//! HTTP: connections and the route table.

mod accept;
mod admin;
mod answers;
mod assets;
mod client_stream;
mod connection;
mod cors;
mod delivery;
mod events;
mod keep_alive;
mod legacy;
mod plain;
mod polling;
mod proxies;
mod publish;
mod sessions;
mod stats;
mod websocket;

use std::{cell::RefCell, net::IpAddr, rc::Rc, sync::Arc};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue, ORIGIN, UPGRADE},
};
use womack_engine::{DirtyChannels, Sender, SessionRequest, Shard, ShardId, Speaks, ToShard};
use womack_proto::SessionError;
use womack_redis::Publisher;

pub(crate) use self::{
    accept::{Connections, Listener, serve},
    assets::Assets as Files,
    proxies::ClientAddress,
};
use self::{answers::plain, assets::Audience, delivery::ClientConnection, events::EventBody};
use crate::{admin::Surveyor, config::Config, context::ServerContext, status::Status};

/// Connections that may wait at a listener until they are accepted; the system may allow fewer.
pub(crate) const BACKLOG: i32 = 4096;

type Body = Either<Full<Bytes>, EventBody>;

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

impl Http {
    async fn respond(
        self: Rc<Self>,
        mut request: Request<Incoming>,
        peer: IpAddr,
        surface: Surface,
        connection: Rc<ClientConnection>,
    ) -> Response<Body> {
        let origin = request.headers().get(ORIGIN).cloned();
        let endpoint = self.endpoint(&request);
        if let Some((endpoint, legacy)) = endpoint.filter(|_| surface != Surface::Admin) {
            let requested = request.headers().get(cors::REQUEST_HEADERS).cloned();
            let origins = &self.server.config.cors_origins;
            if !cors::allows(origins, origin.as_ref()) {
                return self.refuse(SessionError::Forbidden);
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
}

/// Whether a proxy says that it speaks for somebody else.
fn is_forwarded(headers: &HeaderMap) -> bool {
    let mut by_proxies = ["forwarded", "x-forwarded-for", "via"].into_iter();
    by_proxies.any(|name| headers.contains_key(name))
}
