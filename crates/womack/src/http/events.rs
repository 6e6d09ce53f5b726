//! Server-sent events: an answer that does not end.

use std::{rc::Rc, time::Instant};

use bytes::Bytes;
use http_body_util::Either;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderName, HeaderValue},
};
use tokio::sync::Notify;
use womack_engine::{Problem, Wish};
use womack_ledger::Admitted;
use womack_proto::event_stream::MEDIA_TYPE;

use super::{
    answers::{plain, respond},
    body::Body,
    context::Http,
    event_body::EventBody,
    plain::target,
};

/// In which a client says what event it had last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to pass on what it gets at once.
const NO_BUFFER: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);
impl Http {
    /// Opens an event stream. `cut` breaks the connection off.
    pub(super) async fn events(
        self: &Rc<Self>,
        request: Request<Incoming>,
        endpoint: u8,
        cut: Rc<Notify>,
    ) -> Response<Body> {
        if request.method() != Method::GET {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            let headers = response.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        let admitted = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(error) => return self.refuse(error),
        };
        match self.open_events(&request, endpoint, cut, admitted).await {
            Ok(body) => {
                let mut response = respond(StatusCode::OK, MEDIA_TYPE, Bytes::new());
                let (name, value) = NO_BUFFER;
                response.headers_mut().insert(name, value);
                *response.body_mut() = Either::Right(body);
                response
            }
            Err(problem) => self.refuse_plain(&problem),
        }
    }

    /// Opens an event stream whose channels are live.
    async fn open_events(
        self: &Rc<Self>,
        request: &Request<Incoming>,
        endpoint: u8,
        cut: Rc<Notify>,
        admitted: Admitted,
    ) -> Result<EventBody, Problem> {
        let target = target(request);
        let last = request.headers().get(LAST_EVENT_ID);
        let wish = Wish {
            namespace: self.open_namespace(&target)?,
            channels: &target.channels,
            last: last.and_then(|last| str::from_utf8(last.as_bytes()).ok()),
        };
        let opened = {
            let mut shard = self.shard.borrow_mut();
            shard.open_events(endpoint, &wish, cut.clone(), admitted, Instant::now())?
        };
        // From here on the stream is closed when this is dropped.
        let body = EventBody {
            shard: self.shard.clone(),
            sid: opened.sid,
            queue: opened.queue,
            metrics: self.server.metrics.engine.clone(),
            _cut: cut,
        };
        match opened.live.await {
            Ok(true) => Ok(body),
            Ok(false) | Err(_) => Err(Problem::Unavailable),
        }
    }
}
