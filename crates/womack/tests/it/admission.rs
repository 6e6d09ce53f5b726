//! Who may come, and how many: refused in HTTP, before there is anything to keep.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};
use womack_test_support::{Client, Launch, Polling, Redis, Server, http, metrics, within};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
/// Ways to open a session; a WebSocket's is another.
const OPENINGS: [&str; 3] = [HANDSHAKE, "/socket.io/1/", "/events?channel=a"];

async fn start(redis: &Redis, flag: &str, value: &str) -> Server {
    Launch::new(redis).flag(flag, value).start().await
}

/// All ways to open a session are refused for now.
async fn is_full(server: &Server, retry_after: &str) {
    for path in OPENINGS {
        let answer = http::get(server.address(), path).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), retry_after, "{path}");
    }
    for path in ["/ws", "/socket.io/?EIO=4&transport=websocket"] {
        let answer = upgrade(server.address(), [127, 0, 0, 1], path).await;
        let answer = answer.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{path}: {answer}");
    }
}

/// Asks for a WebSocket from another address of this machine. Returns the answer's beginning.
async fn upgrade(server: SocketAddr, from: [u8; 4], path: &str) -> io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = socket.connect(server).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 16];
    within("an answer", stream.read_exact(&mut answer)).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn clients_over_max_connections_are_refused_until_another_leaves() {
    let redis = Redis::start().await;
    let server = start(&redis, "--max-connections", "3").await;
    let mut first = Client::connect(server.address()).await;
    let _second = Polling::connect(server.address()).await;
    let third = Client::connect(server.address()).await;
    is_full(&server, "5").await;
    metrics::limit(server.address(), "max_connections", 5.0).await;
    drop(third);
    metrics::reaches(server.address(), "womack_connections_closed_total", "", 1.0).await;
    let _fourth = Client::connect(server.address()).await;
    is_full(&server, "5").await;
    first.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(first.message("a").await, "1");
}

#[tokio::test]
async fn clients_over_the_share_of_their_address_are_refused_and_others_are_served() {
    let redis = Redis::start().await;
    let server = start(&redis, "--max-connections-per-address", "2").await;
    let _clients = [
        Client::connect(server.address()).await,
        Client::connect(server.address()).await,
    ];
    is_full(&server, "5").await;
    let elsewhere = upgrade(server.address(), [127, 0, 0, 2], "/ws").await;
    let elsewhere = elsewhere.expect("an answer");
    assert!(elsewhere.starts_with("HTTP/1.1 101 "), "{elsewhere}");
    metrics::limit(server.address(), "max_connections_per_address", 5.0).await;
}

#[tokio::test]
async fn one_address_leaves_the_last_quarter_to_others_unless_it_may_have_all() {
    let redis = Redis::start().await;
    let server = start(&redis, "--max-connections", "8").await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(Client::connect(server.address()).await);
    }
    is_full(&server, "5").await;
    server
        .logged("set trusted-proxy to the balancer's network")
        .await;
    for _ in 0..2 {
        let elsewhere = upgrade(server.address(), [127, 0, 0, 2], "/ws").await;
        let elsewhere = elsewhere.expect("an answer");
        assert!(elsewhere.starts_with("HTTP/1.1 101 "), "{elsewhere}");
    }
    let launch = Launch::new(&redis).flag("--max-connections", "8");
    let server = launch
        .flag("--max-connections-per-address", "0")
        .start()
        .await;
    clients.clear();
    for _ in 0..8 {
        clients.push(Client::connect(server.address()).await);
    }
}

#[tokio::test]
async fn clients_that_connect_too_fast_are_refused_with_retry_after() {
    let redis = Redis::start().await;
    let server = start(&redis, "--max-connects-per-second", "1").await;
    let mut first = Client::connect(server.address()).await;
    loop {
        let answer = http::get(server.address(), HANDSHAKE).await;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), "1");
            break;
        }
    }
    metrics::limit(server.address(), "max_connects_per_second", 1.0).await;
    first.subscribe("a").await;
}
