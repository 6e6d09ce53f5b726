//! The browser client, the test pages and the dashboard, compiled in.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::Either;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING,
        CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
        REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::body::{AnswerBytes, Body};

/// Whom a file is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Audience {
    /// Pages and their visitors: the same for all, so any page may import it.
    Everyone,
    /// Operators: their page loads nothing but itself, and no other page shows it.
    Operators,
}

/// What a browser may do with a file for operators.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

const OPERATORS_FILES: [(&str, &str, &[u8]); 4] = [
    (
        "/dashboard",
        HTML,
        include_bytes!("../../static/dashboard/dashboard.html"),
    ),
    (
        "/dashboard.css",
        "text/css; charset=utf-8",
        include_bytes!("../../static/dashboard/dashboard.css"),
    ),
    (
        "/dashboard.js",
        JAVASCRIPT,
        include_bytes!("../../static/dashboard/dashboard.js"),
    ),
    (
        "/chart.js",
        JAVASCRIPT,
        include_bytes!("../../static/dashboard/chart.js"),
    ),
];

const FILES: [(&str, &str, &[u8]); 3] = [
    // A link to the client's own package, of which a published package has a copy.
    (
        "/womack.js",
        JAVASCRIPT,
        include_bytes!("../../static/womack.js"),
    ),
    ("/test.html", HTML, include_bytes!("../../static/test.html")),
    (
        "/channel_test.html",
        HTML,
        include_bytes!("../../static/channel_test.html"),
    ),
];

/// The files, each as it is and compressed, with an entity tag for both.
pub(crate) struct Assets {
    files: Vec<Asset>,
}

struct Asset {
    path: &'static str,
    audience: Audience,
    content_type: HeaderValue,
    plain: Variant,
    gzip: Variant,
}

struct Variant {
    etag: HeaderValue,
    content: Bytes,
}

impl Assets {
    pub(crate) fn new() -> Self {
        let everyone = FILES.map(|file| (Audience::Everyone, file));
        let operators = OPERATORS_FILES.map(|file| (Audience::Operators, file));
        let files = everyone.into_iter().chain(operators);
        let files = files.map(|(audience, (path, content_type, content))| Asset {
            path,
            audience,
            content_type: HeaderValue::from_static(content_type),
            plain: Variant::new(Bytes::from_static(content)),
            gzip: Variant::new(gzip(content).into()),
        });
        Self {
            files: files.collect(),
        }
    }

    /// The file for `audience` at `path`, or word that the browser's copy is still good.
    pub(super) fn get(
        &self,
        audience: Audience,
        path: &str,
        request: &HeaderMap,
    ) -> Option<Response<Body>> {
        let mut files = self.files.iter();
        let asset = files.find(|asset| asset.audience == audience && asset.path == path)?;
        let takes_gzip = tokens(request, ACCEPT_ENCODING).any(takes_gzip);
        let variant = if takes_gzip {
            &asset.gzip
        } else {
            &asset.plain
        };
        let known = tokens(request, IF_NONE_MATCH).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || tag.as_bytes() == variant.etag.as_bytes()
        });
        let mut response = Response::new(Either::Left(AnswerBytes::default()));
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Either::Left(variant.content.clone().into());
        }
        let headers = response.headers_mut();
        if takes_gzip && !known {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(ETAG, variant.etag.clone());
        headers.insert(CONTENT_TYPE, asset.content_type.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match audience {
            Audience::Everyone => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Audience::Operators => {
                headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
                headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            }
        }
        Some(response)
    }
}

impl Variant {
    fn new(content: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let etag = format!("\"{:016x}\"", hasher.finish());
        Self {
            etag: HeaderValue::try_from(etag).expect("hexadecimal digits in quotes"),
            content,
        }
    }
}

/// The values of a header that is a list.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

/// Whether an accepted encoding is gzip, and not with weight zero.
fn takes_gzip(encoding: &str) -> bool {
    let (name, weight) = encoding.split_once(';').unwrap_or((encoding, ""));
    let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
    name.trim().eq_ignore_ascii_case("gzip") && weight != Some(Ok(0.0))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(content);
    written
        .and_then(|()| encoder.finish())
        .expect("writing to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_copy_is_confirmed_by_its_tag() {
        let assets = Assets::new();
        let fresh = assets
            .get(Audience::Everyone, "/womack.js", &HeaderMap::new())
            .unwrap();
        assert_eq!(fresh.status(), StatusCode::OK);
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, fresh.headers()[ETAG].clone());
        assert_eq!(
            assets
                .get(Audience::Everyone, "/womack.js", &request)
                .unwrap()
                .status(),
            StatusCode::NOT_MODIFIED
        );
        request.insert(IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(
            assets
                .get(Audience::Everyone, "/womack.js", &request)
                .unwrap()
                .status(),
            StatusCode::OK
        );
        assert!(assets.get(Audience::Everyone, "/other", &request).is_none());
    }

    #[test]
    fn operators_page_is_for_operators_and_shows_nothing_of_others() {
        let (assets, request) = (Assets::new(), HeaderMap::new());
        assert!(
            assets
                .get(Audience::Everyone, "/dashboard", &request)
                .is_none()
        );
        assert!(
            assets
                .get(Audience::Operators, "/womack.js", &request)
                .is_none()
        );
        for (path, _, content) in OPERATORS_FILES {
            let answer = assets.get(Audience::Operators, path, &request).unwrap();
            let headers = answer.headers();
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none';"), "{policy}");
            assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
            let text = str::from_utf8(content).unwrap();
            // The policy would forbid it; nobody should have to find that out.
            for word in ["style=", "onclick", "https://", "<script>"] {
                assert!(!text.contains(word), "{path} has {word}");
            }
        }
    }

    #[test]
    fn script_travels_compressed_in_less_than_8_kib() {
        let assets = Assets::new();
        for (accepted, encoding) in [
            ("gzip, deflate, br", Some("gzip")),
            ("br;q=1.0, gzip;q=0.5", Some("gzip")),
            ("gzip;q=0", None),
            ("deflate", None),
        ] {
            let mut request = HeaderMap::new();
            request.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            let response = assets
                .get(Audience::Everyone, "/womack.js", &request)
                .unwrap();
            let found = response.headers().get(CONTENT_ENCODING);
            assert_eq!(
                found.map(|value| value.to_str().unwrap()),
                encoding,
                "{accepted}"
            );
        }
        let script = assets
            .files
            .iter()
            .find(|asset| asset.path == "/womack.js")
            .unwrap();
        assert!(script.gzip.content.len() < 8 * 1024);
        assert!(script.gzip.etag != script.plain.etag);
    }
}
