//! The browser client and the test pages, compiled in.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
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

/// The files, each with its entity tag.
pub(crate) struct Assets {
    files: Vec<Asset>,
}

struct Asset {
    path: &'static str,
    content_type: HeaderValue,
    etag: HeaderValue,
    content: Bytes,
}

impl Assets {
    pub(super) fn new() -> Self {
        let files = FILES.map(|(path, content_type, content)| {
            let mut hasher = DefaultHasher::new();
            content.hash(&mut hasher);
            let etag = format!("\"{:016x}\"", hasher.finish());
            Asset {
                path,
                content_type: HeaderValue::from_static(content_type),
                etag: HeaderValue::try_from(etag).expect("hexadecimal digits in quotes"),
                content: Bytes::from_static(content),
            }
        });
        Self {
            files: files.into(),
        }
    }

    /// The file at `path`, or word that the browser's copy is still good.
    pub(super) fn get(&self, path: &str, request: &HeaderMap) -> Option<Response<Body>> {
        let asset = self.files.iter().find(|asset| asset.path == path)?;
        let known = request.get_all(IF_NONE_MATCH).iter().any(|header| {
            let tags = header
                .to_str()
                .unwrap_or_default()
                .split(',')
                .map(str::trim);
            let mut tags = tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag));
            tags.any(|tag| tag == "*" || tag.as_bytes() == asset.etag.as_bytes())
        });
        let mut response = match known {
            true => Response::new(Full::default()),
            false => Response::new(Full::new(asset.content.clone())),
        };
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(ETAG, asset.etag.clone());
        headers.insert(CONTENT_TYPE, asset.content_type.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(response)
    }
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
}
