//! What is served over HTTP beside the sessions, and how requests are refused.

use womack_test_support::http::{self, Method};
use womack_test_support::{Client, Launch, Polling, Redis, Server, free_address};

const ENGINE: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test]
async fn bad_requests_get_the_official_answers() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let unknown_transport = (400, r#"{"code":0,"message":"Transport unknown"}"#);
    let unknown_sid = (400, r#"{"code":1,"message":"Session ID unknown"}"#);
    let bad_method = (400, r#"{"code":2,"message":"Bad handshake method"}"#);
    let bad_request = (400, r#"{"code":3,"message":"Bad request"}"#);
    let version = (
        400,
        r#"{"code":5,"message":"Unsupported protocol version"}"#,
    );
    let table = [
        (Method::GET, "/socket.io/?EIO=4", unknown_transport),
        (
            Method::GET,
            "/socket.io/?EIO=4&transport=abc",
            unknown_transport,
        ),
        (
            Method::GET,
            "/socket.io/?EIO=4&transport=",
            unknown_transport,
        ),
        (
            Method::GET,
            "/socket.io/?EIO=4&transport=polling&sid=zzz",
            unknown_sid,
        ),
        (
            Method::POST,
            "/socket.io/?EIO=4&transport=polling&sid=zzz",
            unknown_sid,
        ),
        (
            Method::POST,
            "/socket.io/?EIO=4&transport=polling",
            bad_method,
        ),
        (
            Method::PUT,
            "/socket.io/?EIO=4&transport=polling",
            bad_method,
        ),
        (
            Method::DELETE,
            "/socket.io/?EIO=4&transport=polling",
            bad_method,
        ),
        (
            Method::GET,
            "/socket.io/?EIO=4&transport=websocket",
            bad_request,
        ),
        (Method::GET, "/socket.io/?transport=polling", version),
        (
            Method::GET,
            "/socket.io/?EIO=abc&transport=polling",
            version,
        ),
        (Method::GET, "/socket.io/?EIO=2&transport=polling", version),
        (Method::GET, "/socket.io/?EIO=5&transport=polling", version),
    ];
    for (method, path, (status, body)) in table {
        let headers = [("origin", "http://page.example")];
        let answer = http::request(server.address(), method.clone(), path, &headers, "").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{method} {path}"
        );
        assert_eq!(
            answer.header("content-type"),
            "application/json",
            "{method} {path}"
        );
        let origin = answer.header("access-control-allow-origin");
        assert_eq!(origin, "http://page.example", "{method} {path}");
    }
}

#[tokio::test]
async fn every_answer_to_a_page_carries_cors_headers() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let client = Polling::connect(server.address()).await;
    let headers = [
        ("origin", "https://page.example:8443"),
        ("content-type", "text/plain"),
    ];
    for (method, path, body) in [
        (Method::GET, ENGINE.to_owned(), ""),
        (Method::POST, client.path(), "3"),
        (Method::GET, "/socket.io/".to_owned(), ""),
    ] {
        let answer = http::request(server.address(), method, &path, &headers, body).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, "https://page.example:8443", "{path}");
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            "true",
            "{path}"
        );
        assert!(
            answer.header("vary").to_lowercase().contains("origin"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn only_listed_origins_are_allowed_when_some_are_listed() {
    let redis = Redis::start().await;
    // Browsers write it in small letters and without the port of the scheme.
    let launch = Launch::new(&redis).flag("--cors-origin", "https://Good.Example:443");
    let server = launch.start().await;
    let good = [("origin", "https://good.example")];
    let bad = [("origin", "https://bad.example")];
    let answer = http::get_with(server.address(), ENGINE, &good).await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://good.example"
    );
    for path in [ENGINE, "/socket.io/1/", "/events?channel=a", "/ws"] {
        let answer = http::get_with(server.address(), path, &bad).await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        // A cache would give the refusal to the pages that may connect.
        assert_eq!(answer.header("vary"), "Origin", "{path}");
    }
    server.logged("https://bad.example").await;
    let log = server.log();
    let warnings = log.iter().filter(|line| line.contains("--cors-origin"));
    assert_eq!(warnings.count(), 1, "{log:?}");
}

#[tokio::test]
async fn unknown_parameters_and_any_order_are_accepted() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for query in [
        "t=abc&transport=polling&EIO=4",
        "EIO=4&transport=polling&t=1&b64=1&x=%F0%9F%98%80&&=",
        "transport=polling&EIO=4&token=a%20b",
    ] {
        let path = format!("/socket.io/?{query}");
        let answer = http::get(server.address(), &path).await;
        assert_eq!(answer.status, 200, "{query}");
        assert!(answer.text().starts_with("0{"), "{query}");
    }
}

#[tokio::test]
async fn the_path_needs_no_final_slash() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let answer = http::get(server.address(), "/socket.io?EIO=4&transport=polling").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn pages_and_scripts_are_served_with_tags() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for (path, kind) in [
        ("/womack.js", "javascript"),
        ("/test.html", "text/html"),
        ("/channel_test.html", "text/html"),
    ] {
        let answer = http::get(server.address(), path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").contains(kind), "{path}");
        assert!(!answer.bytes.is_empty(), "{path}");
        let tag = answer.header("etag").to_owned();
        assert!(tag.len() > 2, "{path} has no tag");
        let headers = [("if-none-match", tag.as_str())];
        let again = http::get_with(server.address(), path, &headers).await;
        assert_eq!((again.status, again.bytes.len()), (304, 0), "{path}");
        let head = http::request(server.address(), Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_get_404_and_wrong_methods_405() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for path in [
        "/nothing",
        "/socket.iox/",
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "//",
        "/test",
    ] {
        assert_eq!(
            http::get(server.address(), path).await.status,
            404,
            "{path}"
        );
    }
    let answer = http::post(server.address(), "/test.html", "x").await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn health_does_not_depend_on_redis_and_readiness_does() {
    let mut redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            http::get(server.address(), path).await.status,
            200,
            "{path}"
        );
    }
    redis.stop().await;
    server.unready().await;
    assert_eq!(http::get(server.address(), "/healthz").await.status, 200);
}

#[tokio::test]
async fn admin_pages_move_to_an_address_of_their_own() {
    let redis = Redis::start().await;
    let admin = free_address();
    let launch = Launch::new(&redis).flag("--admin-listen", &admin.to_string());
    let server = launch.start_unready().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(
            http::get(server.address(), path).await.status,
            404,
            "{path}"
        );
        let answer = http::get(admin, path).await;
        assert!(
            matches!(answer.status, 200 | 503),
            "{path}: {}",
            answer.status
        );
    }
    assert_eq!(http::get(admin, "/test.html").await.status, 404);
    assert_eq!(http::get(admin, ENGINE).await.status, 404);
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn compression_is_never_negotiated() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut raw = womack_test_support::raw::Raw::connect(server.address()).await;
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n\
        Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    raw.send(request.as_bytes()).await;
    let head = raw.head().await.to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
}
