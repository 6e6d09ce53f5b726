//! Requests, messages and connections under way when a server stops arrive, or their client is
//! told.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use womack_test_support::http::{self, Connection};
use womack_test_support::metrics::{self, Metrics};
use womack_test_support::raw::{self, Raw};
use womack_test_support::{
    Client, EventStream, Launch, Polling, Redis, Server, Signal, eventually, free_address, within,
};

/// The path at which a session is opened by polling.
const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";
/// Requests for sessions of another shard than the one that was reached.
const FORWARDED: &str = "womack_requests_forwarded_total";
/// A message that some hundred of fill every buffer between server and client.
const MESSAGE_BYTES: usize = 100_000;

/// The shard that a session id names, as a character that no other shard has.
fn shard(sid: &str) -> char {
    sid.chars().nth(7).expect("a session id")
}

/// The first session id in an answer to a handshake.
fn sid(answer: &http::Answer) -> String {
    let text = answer.text();
    let rest = text.split_once(r#""sid":""#).expect("an open packet").1;
    rest.split('"').next().expect("a session id").to_owned()
}

/// Ends a session as its client does.
async fn leave(address: SocketAddr, sid: &str) {
    let answer = http::post(address, &format!("{HANDSHAKE}&sid={sid}"), "1").await;
    assert_eq!(answer.status, 200);
}

/// A server with one shard, and its address for operators.
async fn start_for_operators(redis: &Redis) -> (Server, SocketAddr) {
    let admin = free_address();
    let launch = Launch::new(redis)
        .flag("--shards", "1")
        .flag("--admin-listen", &admin.to_string());
    let server = launch.start_unready().await;
    ready(admin).await;
    (server, admin)
}

/// Waits until a server is ready that says so at its address for operators.
async fn ready(admin: SocketAddr) {
    eventually("readiness", async || {
        http::get(admin, "/readyz").await.status == 200
    })
    .await;
}

/// Publishes on the channel `a` until so many bytes wait for a client that does not read. Returns
/// how many messages the server has for it.
async fn fill(redis: &Redis, server: &Server, admin: SocketAddr, bytes: f64) -> usize {
    let filling = "x".repeat(MESSAGE_BYTES);
    // A message that has reached this one has reached the other, too.
    let mut healthy = Client::connect(server.address()).await;
    healthy.subscribe("a").await;
    let mut published = 0;
    within("bytes to wait", async {
        while Metrics::of(admin)
            .await
            .sum("womack_client_queue_bytes", "")
            < bytes
        {
            let message = json!({ "data": published, "filling": filling }).to_string();
            redis.publish("a", &message).await;
            healthy.message("a").await;
            published += 1;
        }
    })
    .await;
    healthy.close().await;
    published
}

/// Asks a server to go, and waits until it has closed its one session.
async fn stop_first_step(server: &Server, admin: SocketAddr) {
    server.signal(Signal::Terminate).await;
    let reason = r#"reason="shutdown""#;
    metrics::reaches(admin, "womack_connections_closed_total", reason, 1.0).await;
}

#[tokio::test]
async fn polls_that_wait_at_a_shard_without_sessions_are_answered() {
    const POLLS: usize = 8;
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--drain-seconds", "2");
    let mut server = launch.start().await;
    let address = server.address();
    // A connection is where the session that it opens is.
    let (mut sessions, mut connections) = (Vec::new(), Vec::new());
    let home = shard(Polling::open(address).await.sid());
    while sessions.len() < POLLS || connections.len() < POLLS {
        let mut connection = Connection::open(address).await;
        let sid = sid(&connection.get(HANDSHAKE).await.expect("a session"));
        if shard(&sid) == home {
            sessions.push(sid);
        } else {
            leave(address, &sid).await;
            connections.push(connection);
        }
    }
    let before = Metrics::of(address).await.sum(FORWARDED, "");
    let mut polls = JoinSet::new();
    for (sid, mut connection) in sessions.into_iter().zip(connections) {
        let path = format!("{HANDSHAKE}&sid={sid}");
        polls.spawn(async move { connection.get(&path).await.map(|answer| answer.status) });
    }
    metrics::reaches(address, FORWARDED, "", before + POLLS as f64).await;
    server.signal(Signal::Terminate).await;
    let (status, answers) = tokio::join!(server.exit(), polls.join_all());
    assert!(status.success(), "{status}");
    for answer in answers {
        assert_eq!(answer.expect("an answer"), 410);
    }
}

#[tokio::test]
async fn a_websocket_gets_all_that_is_left_for_it_and_a_close_frame() {
    let redis = Redis::start().await;
    let (mut server, admin) = start_for_operators(&redis).await;
    let mut socket = Raw::socket(server.address()).await;
    let subscribe = json!(["subscribe", { "channel": "a" }]);
    socket.send(&raw::text(&format!("420{subscribe}"))).await;
    socket.frame().await.expect("an acknowledgement");
    let published = fill(&redis, &server, admin, 200_000.0).await;
    stop_first_step(&server, admin).await;
    // Something that comes in meanwhile does not end in a reset.
    socket.send(&raw::text("3")).await;
    let (status, frames) = tokio::join!(server.exit(), socket.frames());
    assert!(status.success(), "{status}");
    let (last, messages) = frames.split_last().expect("frames");
    assert_eq!(messages.len(), published);
    for (number, message) in messages.iter().enumerate() {
        let begin = format!(r#"42["a",{{"data":{number},"#);
        assert!(message.payload.starts_with(begin.as_bytes()), "{number}");
    }
    assert_eq!(last.close_code(), Some(1001), "{last:?}");
}

#[tokio::test]
async fn an_event_stream_gets_all_that_is_left_for_it() {
    let redis = Redis::start().await;
    let (mut server, admin) = start_for_operators(&redis).await;
    let mut stream = EventStream::open(server.address(), "channel=a").await;
    let published = fill(&redis, &server, admin, 200_000.0).await;
    stop_first_step(&server, admin).await;
    let (status, ()) = tokio::join!(server.exit(), async {
        for number in 0..published {
            let message = stream.message("a").await;
            let begin = format!(r#"{{"data":{number},"#);
            assert!(message.starts_with(&begin), "{number}");
        }
        assert_eq!(stream.next().await, None);
    });
    assert!(status.success(), "{status}");
}

/// The outcome of a connection that asks `/healthz`.
async fn ask(mut stream: TcpStream) -> std::io::Result<String> {
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn connections_that_wait_to_be_accepted_when_a_server_stops_are_answered() {
    const CONNECTIONS: usize = 600;
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    server.signal(Signal::Halt).await;
    server.signal(Signal::Terminate).await;
    // The system completes them, and the server knows nothing of it.
    let (mut early, mut late) = (JoinSet::new(), Vec::new());
    for number in 0..CONNECTIONS {
        let stream = TcpStream::connect(server.address()).await;
        let stream = stream.expect("a connection");
        if number % 2 == 0 {
            early.spawn(ask(stream));
        } else {
            late.push(stream);
        }
    }
    server.signal(Signal::GoOn).await;
    let late: JoinSet<_> = late.into_iter().map(ask).collect();
    let (status, early, late) = tokio::join!(server.exit(), early.join_all(), late.join_all());
    assert!(status.success(), "{status}");
    for answer in early.into_iter().chain(late) {
        let answer = answer.expect("an answer, and no reset");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
}

#[tokio::test]
async fn operators_are_answered_until_the_last_client_has_gone() {
    let redis = Redis::start().await;
    let admin = free_address();
    let launch = Launch::new(&redis)
        .flag("--admin-listen", &admin.to_string())
        .flag("--drain-seconds", "2");
    let mut server = launch.start_unready().await;
    ready(admin).await;
    // The operators' listener is the first shard's, which has no client.
    let mut clients = Vec::new();
    while clients.len() < 2 {
        let client = Client::connect(server.address()).await;
        match shard(client.id()) {
            'A' => client.close().await,
            _ => clients.push(client),
        }
    }
    server.signal(Signal::Terminate).await;
    server.logged("stopping").await;
    let mut last = clients.pop().expect("two clients");
    clients[0].end().await;
    let mut end = tokio::spawn(async move { last.end().await });
    let mut rounds = 0;
    while !end.is_finished() {
        assert_eq!(http::get(admin, "/healthz").await.status, 200);
        assert_eq!(http::get(admin, "/readyz").await.status, 503);
        assert_eq!(http::get(admin, "/metrics").await.status, 200);
        rounds += 1;
    }
    (&mut end).await.expect("the end of the last client");
    assert!(rounds > 0, "the clients went at one time");
    assert!(server.exit().await.success());
}
