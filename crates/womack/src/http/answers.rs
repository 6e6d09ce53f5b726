//! Answers that are made in one line.

use http_body_util::Either;
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};

use super::body::{AnswerBytes, Body};

pub(super) fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    respond(status, "text/plain; charset=UTF-8", text)
}

/// A response that nobody stores and nobody takes for another type than it says.
pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<AnswerBytes>,
) -> Response<Body> {
    let mut response = Response::new(Either::Left(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
