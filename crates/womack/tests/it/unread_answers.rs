//! Answers that nobody reads, and bodies that are sent by and by: charged, and bounded in time.

use std::net::SocketAddr;

use womack_test_support::{
    Launch, Polling, Redis, Server, eventually, http,
    metrics::{self, Metrics},
    raw::Raw,
};

/// More than the system takes for a client that reads nothing.
const BYTES: usize = 1_000_000;

async fn start(redis: &Redis, handshake: &str) -> Server {
    Launch::new(redis)
        .flag("--shards", "1")
        .flag("--handshake-seconds", handshake)
        .start()
        .await
}

async fn memory(server: SocketAddr) -> f64 {
    Metrics::of(server).await.sum("womack_memory_bytes", "")
}

/// Waits until the server holds at least, or less than, so many bytes more than `before`.
async fn held(server: SocketAddr, before: f64, holds: impl Fn(f64) -> bool) {
    eventually("the memory that is held to change", async || {
        holds(memory(server).await - before)
    })
    .await;
}

/// A client that is subscribed, and for which a large message waits.
async fn subscribed(redis: &Redis, server: &Server) -> Polling {
    let mut client = Polling::connect(server.address()).await;
    client.subscribe("a").await;
    redis
        .publish("a", &format!("{:?}", "x".repeat(BYTES)))
        .await;
    metrics::reaches(
        server.address(),
        "womack_client_queue_bytes",
        "",
        BYTES as f64,
    )
    .await;
    client
}

/// Polls and reads nothing of the answer.
async fn poll_unread(server: &Server, client: &Polling) -> Raw {
    let mut raw = Raw::connect_narrow(server.address()).await;
    let path = client.path();
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .await;
    raw
}

async fn aborted(server: &Server) {
    let reason = "reason=\"poll_aborted\"";
    let name = "womack_connections_closed_total";
    metrics::reaches(server.address(), name, reason, 1.0).await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_charged_and_ends_with_its_session() {
    let redis = Redis::start().await;
    let server = start(&redis, "1").await;
    let client = subscribed(&redis, &server).await;
    let before = memory(server.address()).await;
    let mut unread = poll_unread(&server, &client).await;
    metrics::limit(server.address(), "handshake_seconds", 1.0).await;
    aborted(&server).await;
    held(server.address(), before, |more| more < 0.0).await;
    let read = unread.end().await;
    assert!(read.len() < BYTES, "the answer ends early");
}

#[tokio::test]
async fn a_session_that_polls_anew_beside_an_unread_answer_ends() {
    let redis = Redis::start().await;
    let server = start(&redis, "600").await;
    let client = subscribed(&redis, &server).await;
    let before = memory(server.address()).await;
    let mut unread = poll_unread(&server, &client).await;
    metrics::reaches(
        server.address(),
        "womack_sent_bytes_total",
        "",
        BYTES as f64,
    )
    .await;
    // What waited for the client is the answer's now.
    held(server.address(), before, |more| more > -0.1 * BYTES as f64).await;
    let answer = http::get(server.address(), &client.path()).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    aborted(&server).await;
    assert!(unread.end().await.len() < BYTES);
    held(server.address(), before, |more| more < -0.9 * BYTES as f64).await;
}

#[tokio::test]
async fn a_body_is_charged_by_what_is_there_of_it() {
    let redis = Redis::start().await;
    let server = start(&redis, "600").await;
    let client = Polling::connect(server.address()).await;
    let before = memory(server.address()).await;
    let mut raws = Vec::new();
    for _ in 0..10 {
        let mut raw = Raw::connect(server.address()).await;
        let path = client.path();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n4");
        raw.send(head.as_bytes()).await;
        raws.push(raw);
    }
    let announced = (10 * BYTES) as f64;
    held(server.address(), before, |more| more > 10_000.0).await;
    assert!(memory(server.address()).await - before < announced / 10.0);
    for raw in &mut raws {
        raw.send(&vec![b'x'; BYTES / 2]).await;
    }
    held(server.address(), before, |more| more > announced / 2.0).await;
    raws.clear();
    held(server.address(), before, |more| more < announced / 100.0).await;
}

#[tokio::test]
async fn connections_that_wait_for_a_proxys_header_are_charged() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--trusted-proxy", "127.0.0.2")
        .arg("--proxy-protocol")
        .flag("--handshake-seconds", "600")
        .start()
        .await;
    let before = memory(server.address()).await;
    let mut waiting = Vec::new();
    // Twice as many as are asked for: a connection that has read the memory before may count there.
    for _ in 0..40 {
        waiting.push(Raw::connect_from_host(2, server.address()).await);
    }
    held(server.address(), before, |more| more >= 20.0 * 4096.0).await;
}
