//! Few open files: the part of clients, and what is never used for them.

use std::net::SocketAddr;

use womack_test_support::{
    Launch, Redis, Server, eventually, free_address, http,
    metrics::{self, Metrics},
    raw::Raw,
    within,
};

/// Open files of the process in these tests.
const FILES: usize = 200;
/// What clients may have of them, with one shard.
const FOR_CLIENTS: usize = 108;

/// A server with few files, and its address for operators.
async fn start(redis: &Redis, share: &str) -> (Server, SocketAddr) {
    let admin = free_address();
    let server = Launch::new(redis)
        .flag("--shards", "1")
        .flag("--admin-listen", &admin.to_string())
        .flag("--max-connections-per-address", share)
        .flag("--handshake-seconds", "600")
        .with_files(FILES)
        .start_unready()
        .await;
    ready(admin).await;
    (server, admin)
}

async fn ready(admin: SocketAddr) {
    eventually("the server to be ready", async || {
        http::try_get(admin, "/readyz")
            .await
            .is_some_and(|answer| answer.status == 200)
    })
    .await;
}

/// Waits until clients have so many sockets.
async fn sockets(admin: SocketAddr, count: usize) {
    eventually(&format!("clients to have {count} sockets"), async || {
        Metrics::of(admin).await.sum("womack_client_sockets", "") == count as f64
    })
    .await;
}

/// A connection that has begun a request, and keeps its descriptor.
async fn busy(from: u8, server: &Server) -> Raw {
    let mut raw = Raw::connect_from_host(from, server.address()).await;
    raw.send(b"GET /womack.js HT").await;
    raw
}

/// Asks for a file. Returns the answer's first line, or nothing if the connection ends.
async fn ask(raw: &mut Raw) -> Option<String> {
    raw.send(b"GET /womack.js HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let (head, _) = raw.answer_with_head().await?;
    Some(head.lines().next().unwrap_or_default().to_owned())
}

const SERVED: Option<&str> = Some("HTTP/1.1 200 OK");

#[tokio::test]
async fn operators_and_redis_are_reached_while_clients_have_all_their_descriptors() {
    let mut redis = Redis::start().await;
    let (server, admin) = start(&redis, "0").await;
    let mut busy_ones = Vec::new();
    for _ in 0..FOR_CLIENTS {
        busy_ones.push(busy(1, &server).await);
    }
    sockets(admin, FOR_CLIENTS).await;
    let mut late = Raw::connect(server.address()).await;
    let (head, _) = late.answer_with_head().await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    for header in ["Retry-After: 5", "Connection: close"] {
        assert!(head.contains(header), "{head}");
    }
    assert_eq!(late.end().await, b"");
    metrics::limit(admin, "open_files", 1.0).await;
    server.logged("clients have all descriptors").await;
    redis.stop().await;
    eventually("the server to miss Redis", async || {
        http::get(admin, "/readyz").await.status == 503
    })
    .await;
    redis.resume().await;
    ready(admin).await;
    assert_eq!(http::get(admin, "/healthz").await.status, 200);
    busy_ones.truncate(FOR_CLIENTS - 1);
    sockets(admin, FOR_CLIENTS - 1).await;
    let mut next = Raw::connect(server.address()).await;
    assert_eq!(ask(&mut next).await.as_deref(), SERVED);
}

#[tokio::test]
async fn one_address_leaves_the_last_quarter_of_descriptors_to_others() {
    let redis = Redis::start().await;
    let (server, admin) = start(&redis, "auto").await;
    let mut kept = Vec::new();
    for _ in 0..FOR_CLIENTS / 4 * 3 {
        kept.push(busy(1, &server).await);
    }
    sockets(admin, FOR_CLIENTS / 4 * 3).await;
    let mut refused = Raw::connect_from_host(1, server.address()).await;
    let (head, _) = refused.answer_with_head().await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    metrics::limit(admin, "max_connections_per_address", 1.0).await;
    let mut elsewhere = Raw::connect_from_host(2, server.address()).await;
    assert_eq!(ask(&mut elsewhere).await.as_deref(), SERVED);
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones_the_longest_idle_first() {
    let redis = Redis::start().await;
    let (server, admin) = start(&redis, "0").await;
    let mut idle = Vec::new();
    for _ in 0..FOR_CLIENTS {
        let mut raw = Raw::connect(server.address()).await;
        assert_eq!(ask(&mut raw).await.as_deref(), SERVED);
        idle.push(raw);
    }
    sockets(admin, FOR_CLIENTS).await;
    let mut fresh = Vec::new();
    for _ in 0..10 {
        let mut raw = Raw::connect(server.address()).await;
        assert_eq!(ask(&mut raw).await.as_deref(), SERVED);
        fresh.push(raw);
    }
    for raw in &mut idle[..10] {
        assert_eq!(within("the end", raw.end()).await, b"");
    }
    for raw in idle[10..].iter_mut().chain(&mut fresh) {
        assert_eq!(ask(raw).await.as_deref(), SERVED);
    }
    assert_eq!(
        Metrics::of(admin)
            .await
            .sum("womack_limit_reached_total", "limit=\"open_files\""),
        0.0
    );
}

#[tokio::test]
async fn a_websocket_has_a_descriptor_until_it_is_closed() {
    let redis = Redis::start().await;
    let (server, admin) = start(&redis, "auto").await;
    let first = Raw::socket(server.address()).await;
    let second = Raw::upgraded(server.address(), "/ws").await;
    let mut stream = Raw::connect(server.address()).await;
    stream
        .send(b"GET /events?channel=a HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(stream.head().await.starts_with("HTTP/1.1 200"));
    sockets(admin, 3).await;
    drop(second);
    sockets(admin, 2).await;
    drop((first, stream));
    sockets(admin, 0).await;
}

/// A client that polls as browsers do: over two connections that it keeps and makes again when the
/// server has closed them.
struct Poller {
    server: SocketAddr,
    from: u8,
    sid: String,
    connections: [Option<Raw>; 2],
}

impl Poller {
    async fn open(from: u8, server: SocketAddr) -> Self {
        let mut poller = Self {
            server,
            from,
            sid: String::new(),
            connections: [None, None],
        };
        let body = poller.poll().await;
        let (_, rest) = body.split_once("\"sid\":\"").expect("an open packet");
        poller.sid = format!("&sid={}", rest.split('"').next().expect("an id"));
        poller.post("40").await;
        poller.post(r#"420["subscribe",{"channel":"a"}]"#).await;
        poller.hear("430[").await;
        poller
    }

    async fn poll(&mut self) -> String {
        self.exchange(0, "GET", "").await
    }

    async fn post(&mut self, body: &str) {
        assert_eq!(self.exchange(1, "POST", body).await, "ok");
    }

    async fn exchange(&mut self, connection: usize, method: &str, body: &str) -> String {
        let request = format!(
            "{method} /socket.io/?EIO=4&transport=polling{} HTTP/1.1\r\nHost: a\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.sid,
            body.len()
        );
        loop {
            let mut raw = match self.connections[connection].take() {
                Some(raw) => raw,
                None => Raw::connect_from_host(self.from, self.server).await,
            };
            raw.send(request.as_bytes()).await;
            let Some((head, body)) = raw.answer_with_head().await else {
                // It made room for another one.
                continue;
            };
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
            self.connections[connection] = Some(raw);
            return body;
        }
    }

    /// Polls until `text` has come.
    async fn hear(&mut self, text: &str) {
        while !self.poll().await.contains(text) {}
    }
}

#[tokio::test]
async fn as_many_polling_clients_as_there_are_descriptors_need_only_one_each() {
    let redis = Redis::start().await;
    let (server, admin) = start(&redis, "auto").await;
    let mut pollers = Vec::new();
    for number in 0..87 {
        pollers.push(Poller::open(1 + number % 6, server.address()).await);
    }
    let mut polls = tokio::task::JoinSet::new();
    for mut poller in pollers {
        polls.spawn(async move {
            poller.hear("news").await;
        });
    }
    eventually("all clients to wait", async || {
        Metrics::of(admin).await.sum("womack_client_sockets", "") >= 87.0
    })
    .await;
    redis.publish("a", "\"news\"").await;
    while let Some(poll) = polls.join_next().await {
        poll.expect("a client that is served");
    }
}
