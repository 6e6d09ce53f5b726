//! Which pages may read the answers.

use hyper::{
    HeaderMap,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, HeaderName, HeaderValue, VARY,
    },
};

use crate::config::CorsOrigins;

/// The header in which a preflight says what it will send.
pub(super) const REQUEST_HEADERS: HeaderName = ACCESS_CONTROL_REQUEST_HEADERS;

/// Whether a request from a page of `origin` is answered.
pub(super) fn allows(origins: &CorsOrigins, origin: &HeaderValue) -> bool {
    match origin.to_str() {
        Ok(origin) => origins.allow(origin),
        Err(_) => matches!(origins, CorsOrigins::Any),
    }
}

/// Whether answers may be scripts. Any page can load a script, and the request does not say which
/// page does.
pub(super) const fn allows_scripts(origins: &CorsOrigins) -> bool {
    matches!(origins, CorsOrigins::Any)
}

/// Tells caches that the answer is for one origin. It is a header of refusals too: a cache would
/// give one to pages that may connect.
pub(super) fn vary(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// Lets the page that asked read the answer. `preflight` holds what headers it wants to send.
///
/// Clients 0.9 to 2.x poll with credentials, and browsers show them no answer that allows `*`. No
/// cookie carries a right here, so each origin may be allowed by its name.
pub(super) fn add(
    headers: &mut HeaderMap,
    origin: Option<HeaderValue>,
    preflight: Option<Option<HeaderValue>>,
) {
    vary(headers);
    let Some(origin) = origin else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    let Some(requested) = preflight else { return };
    let methods = HeaderValue::from_static("GET, POST, OPTIONS");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    let requested = requested.unwrap_or_else(|| HeaderValue::from_static("Content-Type"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}
