//! The browser client and the test pages, compiled in.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{Either, Full};
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING,
        CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::Body;

const FILES: [(&str, &str, &[u8]); 3] = [
    (
        "/womack.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../../../clients/javascript/womack.js"),
    ),
    (
        "/test.html",
        "text/html; charset=utf-8",
        include_bytes!("../../static/test.html"),
    ),
    (
        "/channel_test.html",
        "text/html; charset=utf-8",
        include_bytes!("../../static/channel_test.html"),
    ),
];

/// The files, each as it is and compressed, with an entity tag for both.
pub(crate) struct Assets {
    files: Vec<Asset>,
}

struct Asset {
    path: &'static str,
    content_type: HeaderValue,
    plain: Variant,
    gzip: Variant,
}

struct Variant {
    etag: HeaderValue,
    content: Bytes,
}

impl Assets {
    pub(super) fn new() -> Self {
        let files = FILES.map(|(path, content_type, content)| Asset {
            path,
            content_type: HeaderValue::from_static(content_type),
            plain: Variant::new(Bytes::from_static(content)),
            gzip: Variant::new(gzip(content).into()),
        });
        Self {
            files: files.into(),
        }
    }

    /// The file at `path`, or word that the browser's copy is still good.
    pub(super) fn get(&self, path: &str, request: &HeaderMap) -> Option<Response<Body>> {
        let asset = self.files.iter().find(|asset| asset.path == path)?;
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
        let mut response = Response::new(Either::Left(Full::default()));
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Either::Left(Full::new(variant.content.clone()));
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
        // The files are the same for everyone, so any page may import the script.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
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
        let fresh = assets.get("/womack.js", &HeaderMap::new()).unwrap();
        assert_eq!(fresh.status(), StatusCode::OK);
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, fresh.headers()[ETAG].clone());
        assert_eq!(
            assets.get("/womack.js", &request).unwrap().status(),
            StatusCode::NOT_MODIFIED
        );
        request.insert(IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(
            assets.get("/womack.js", &request).unwrap().status(),
            StatusCode::OK
        );
        assert!(assets.get("/other", &request).is_none());
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
            let response = assets.get("/womack.js", &request).unwrap();
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
