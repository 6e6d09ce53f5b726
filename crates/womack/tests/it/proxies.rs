//! Whose request it is, behind proxies.

use womack_test_support::raw::Raw;
use womack_test_support::{Launch, Redis, Server, free_address, http, metrics};

const PATH: &str = "/socket.io/?EIO=4&transport=polling";

async fn behind_proxies() -> (Redis, Server) {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).arg("--debug");
    let launch = launch.flag("--trusted-proxy", "127.0.0.0/8,192.0.2.0/24");
    let server = launch.arg("--proxy-protocol").start_unready().await;
    (redis, server)
}

async fn exchange(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut raw = Raw::connect(server.address()).await;
    raw.send(bytes).await;
    raw.end().await
}

#[tokio::test]
async fn either_version_of_the_proxy_protocol_names_the_client() {
    let (_redis, server) = behind_proxies().await;
    let v1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\n".to_vec();
    let v2 =
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x08\xc6\x33\x64\x01\x12\x67\x00\x50";
    for (header, client) in [(v1, "203.0.113.7"), (v2.to_vec(), "203.0.113.8")] {
        let request = format!("GET {PATH} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let bytes = [&header[..], request.as_bytes()].concat();
        let answer = exchange(&server, &bytes).await;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
        server.logged(&format!(r#""client":"{client}""#)).await;
    }
}

#[tokio::test]
async fn a_trusted_proxy_with_an_invalid_header_is_cut_off() {
    let (_redis, server) = behind_proxies().await;
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = exchange(&server, request.as_bytes()).await;
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn a_proxy_that_sends_no_header_is_cut_off_in_time() {
    let (redis, admin) = (Redis::start().await, free_address());
    let launch = Launch::new(&redis)
        .flag("--trusted-proxy", "127.0.0.0/8")
        .flag("--handshake-seconds", "0.3")
        .flag("--admin-listen", &admin.to_string());
    let server = launch.arg("--proxy-protocol").start_unready().await;
    assert_eq!(exchange(&server, b"PROXY TCP4 ").await, b"");
    metrics::limit(admin, "handshake_seconds", 1.0).await;
}

#[tokio::test]
async fn forwarded_addresses_are_taken_from_trusted_proxies_only() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).arg("--debug");
    let trusting = launch.clone().flag("--trusted-proxy", "127.0.0.1").start();
    let (trusting, doubting) = tokio::join!(trusting, launch.start());
    let headers = [("x-forwarded-for", "198.51.100.9, 203.0.113.7")];
    for (server, client) in [(&trusting, "203.0.113.7"), (&doubting, "127.0.0.1")] {
        http::get_with(server.address(), PATH, &headers).await;
        server.logged(&format!(r#""client":"{client}""#)).await;
    }
}
