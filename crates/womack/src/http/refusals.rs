//! The response to a request whose session is refused.

use hyper::{
    Response, StatusCode,
    header::{CONNECTION, HeaderValue, RETRY_AFTER},
};
use womack_proto::SessionError;

use super::{answers::respond, body::Body, context::Http};

impl Http {
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

/// What is left of the request's body is not read: the connection ends with the response.
pub(super) fn closing(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
