//! The requests of clients without Engine.IO.

use std::rc::Rc;

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{HeaderValue, RETRY_AFTER},
};
use womack_engine::{Problem, Speaks};
use womack_proto::{NamespaceId, Target};

use super::{
    answers::respond, body::Body, context::Http, delivery::ClientConnection, websocket::Purpose,
};

impl Http {
    /// A WebSocket without Engine.IO.
    pub(super) fn plain_websocket(
        self: &Rc<Self>,
        request: Request<Incoming>,
        endpoint: u8,
        connection: &ClientConnection,
    ) -> Response<Body> {
        let admitted = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(error) => return self.refuse(error),
        };
        let namespace = match self.server.engine.endpoints[usize::from(endpoint)].speaks {
            Speaks::Lines => self.open_namespace(&target(&request)),
            _ => Ok(NamespaceId::default()),
        };
        match namespace {
            Ok(namespace) => self.websocket(
                request,
                Purpose::Plain {
                    endpoint,
                    namespace,
                    admitted,
                },
                connection,
            ),
            Err(problem) => self.refuse_plain(&problem),
        }
    }

    /// The namespace that a client without Socket.IO asks for.
    ///
    /// # Errors
    /// There is none, or it is for clients of Socket.IO alone.
    pub(super) fn open_namespace(&self, target: &Target) -> Result<NamespaceId, Problem> {
        let namespace = self.server.engine.rules.namespaces.id(&target.namespace);
        let namespace = namespace.ok_or(Problem::UnknownNamespace)?;
        let entry = self.server.engine.registry.get(namespace);
        let is_open = entry.handler.is_open();
        is_open.then_some(namespace).ok_or(Problem::SocketIoOnly)
    }

    pub(super) fn refuse_plain(&self, problem: &Problem) -> Response<Body> {
        self.server.metrics.http.refused(problem.code());
        if let Some(limit) = problem.limit() {
            self.server.metrics.limit(limit);
        }
        let status = match problem {
            Problem::SocketIoOnly => StatusCode::FORBIDDEN,
            Problem::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = respond(status, "application/json", problem.answer());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

pub(super) fn target(request: &Request<Incoming>) -> Target {
    Target::parse(request.uri().query().unwrap_or_default())
}
