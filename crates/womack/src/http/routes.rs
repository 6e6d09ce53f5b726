//! The route table: which request is answered by what.

use std::{net::IpAddr, rc::Rc, time::Instant};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue, ORIGIN, UPGRADE},
};
use womack_engine::Speaks;
use womack_proto::SessionError;

use super::{
    answers::plain, assets::Audience, body::Body, context::Http, cors, delivery::ClientConnection,
    legacy, locality::is_local, proxies::ClientAddress, surface::Surface,
};

impl Http {
    pub(super) async fn respond(
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
            if let Some(origin) = origin
                .as_ref()
                .filter(|origin| !cors::allows(origins, origin))
            {
                return self.refuse_origin(origin);
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
        let direct_peer = (!connection.is_proxied.get()).then_some(peer);
        let is_operator = surface == Surface::Admin || is_local(&request, direct_peer);
        let query = request.uri().query().unwrap_or_default();
        if surface != Surface::Clients
            && let Some(response) = self
                .admin(path, query, request.headers(), is_operator)
                .await
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

    fn refuse_origin(&self, origin: &HeaderValue) -> Response<Body> {
        self.server.refused_origins.log(origin, Instant::now());
        let mut refusal = self.refuse(SessionError::Forbidden);
        cors::vary(refusal.headers_mut());
        refusal
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
