//! Clients that send what is malformed or too much, and read nothing. The oracle does not judge what
//! becomes of them; the clients beside them must not notice them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use womack_test_support::raw;

use super::client::shared;
use super::plan::{choose, pause, rng};
use super::world::{Phase, World};

/// Connections that one of them has at a time.
const CONNECTIONS: usize = 4;
/// How long a write or the head of an answer may take before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a part of a message; the server takes messages of ten times that.
const PART: usize = 100_000;
/// More channels than a client may be in, by the server's default.
const CHANNELS: usize = 1200;
/// More packets than a client may send at once, by the server's default.
const PACKETS: usize = 40_000;

/// What one of them does on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Habit {
    /// Sends parts of a message that never ends, and pings between them.
    UnfinishedMessages,
    /// Subscribes to more channels than it may have, and leaves them.
    ManyChannels,
    /// Sends more packets than it may.
    ManyPackets,
    /// Changes its metadata again and again.
    Metas,
    /// Sends what no protocol allows.
    Nonsense,
    /// Wants all channels, and reads nothing.
    ReadsNothing,
    /// Opens sessions by polling, and asks for nothing more.
    Sessions,
    /// Sends polls of one session, and reads no answer.
    UnreadPolls,
    /// Announces attachments that never come.
    Attachments,
}

impl Habit {
    pub(super) const ALL: [Self; 9] = [
        Self::UnfinishedMessages,
        Self::ManyChannels,
        Self::ManyPackets,
        Self::Metas,
        Self::Nonsense,
        Self::ReadsNothing,
        Self::Sessions,
        Self::UnreadPolls,
        Self::Attachments,
    ];

    /// The path of its WebSocket; `None` if it polls.
    const fn path(self) -> Option<&'static str> {
        match self {
            Self::Sessions | Self::UnreadPolls | Self::Attachments => None,
            Self::UnfinishedMessages | Self::ReadsNothing => Some("/ws"),
            _ => Some("/socket.io/?EIO=4&transport=websocket"),
        }
    }
}

/// A hostile client.
pub(super) struct Hostile {
    world: Arc<World>,
    server: SocketAddr,
    phase: watch::Receiver<Phase>,
    rng: Rng,
    /// Whether it does nothing but fill the server's memory.
    fills_memory: bool,
}

impl Hostile {
    pub(super) fn new(
        world: Arc<World>,
        server: SocketAddr,
        number: u64,
        plan: (u64, bool),
    ) -> Self {
        let (seed, fills_memory) = plan;
        Self {
            phase: world.phase.subscribe(),
            world,
            server,
            rng: rng(seed, "hostile", number),
            fills_memory,
        }
    }

    /// Comes and goes until all leave. At rest it is away.
    pub(super) async fn run(mut self) {
        loop {
            let phase = *self.phase.borrow_and_update();
            match phase {
                Phase::Chaos => {
                    let mut phase = self.phase.clone();
                    // Dropping the attack cuts its connections.
                    tokio::select! {
                        biased;
                        _ = phase.wait_for(|phase| *phase != Phase::Chaos) => {}
                        () = self.attack() => {}
                    }
                }
                // The sender lives as long as the clients.
                Phase::Rest => drop(self.phase.changed().await),
                Phase::Leave => return,
            }
        }
    }

    async fn attack(&mut self) {
        let habit = match self.fills_memory {
            true => Habit::UnfinishedMessages,
            false => *choose(&mut self.rng, &Habit::ALL),
        };
        self.world.count("hostile clients", format!("{habit:?}"));
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.extend(self.open(habit).await);
        }
        if connections.len() < CONNECTIONS {
            self.world.count("hostile clients", "refused");
        }
        for _ in 0..self.rng.usize(1..12) {
            for connection in &mut connections {
                let bytes = self.bytes(habit, connection);
                // A connection that takes nothing, or has ended, is left as it is.
                timeout(PATIENCE, connection.stream.write_all(&bytes))
                    .await
                    .ok();
            }
            sleep(pause(&mut self.rng, Duration::from_millis(300))).await;
        }
    }

    async fn open(&self, habit: Habit) -> Option<Connection> {
        let stream = TcpStream::connect(self.server).await.ok()?;
        let mut connection = Connection {
            stream,
            sid: String::new(),
            has_begun: false,
        };
        let server = self.server;
        let head = match habit.path() {
            Some(path) => format!(
                "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
            None => get(server, ""),
        };
        let opened = timeout(PATIENCE, connection.open(&head)).await;
        opened.ok()??;
        if matches!(habit, Habit::Metas | Habit::ReadsNothing) {
            let channels: Vec<_> = shared().iter().map(ToString::to_string).collect();
            let asks = match habit {
                Habit::ReadsNothing => raw::text(&json!({ "subscribe": channels }).to_string()),
                _ => {
                    let asks = json!(["subscribe", { "channels": channels }]);
                    [raw::text("40"), raw::text(&format!("42{asks}"))].concat()
                }
            };
            connection.stream.write_all(&asks).await.ok()?;
        }
        Some(connection)
    }

    /// The next bytes of an attack.
    fn bytes(&mut self, habit: Habit, connection: &mut Connection) -> Vec<u8> {
        let rng = &mut self.rng;
        match habit {
            Habit::UnfinishedMessages => {
                let length = match (self.fills_memory, connection.has_begun) {
                    (true, false) => rng.usize(5 * PART..9 * PART),
                    (true, true) => rng.usize(1..PART / 10),
                    (false, _) => rng.usize(1..PART),
                };
                let part = vec![b'x'; length];
                let first = if connection.has_begun { 0x00 } else { 0x01 };
                connection.has_begun = true;
                [raw::frame(first, &part), raw::frame(0x89, b"")].concat()
            }
            Habit::ManyChannels => {
                let count = rng.usize(1..CHANNELS);
                let names = (0..count).map(|_| format!("hostile-{}", rng.u32(..2000)));
                let names: Vec<_> = names.collect();
                let verb = *choose(rng, &["subscribe", "subscribe", "unsubscribe"]);
                let asks = json!([verb, { "channels": names }]);
                [raw::text("40"), raw::text(&format!("42{asks}"))].concat()
            }
            Habit::ManyPackets => raw::text("3").repeat(rng.usize(1..PACKETS)),
            Habit::Metas => {
                let metas = (0..50).map(|_| raw::text(&format!("42[\"meta\",{}]", rng.u32(..))));
                metas.collect::<Vec<_>>().concat()
            }
            Habit::Nonsense => match rng.u8(..4) {
                0 => (0..rng.usize(1..200)).map(|_| rng.u8(..)).collect(),
                1 => raw::unmasked(0x81, b"40"),
                2 => raw::claim(0x81, u64::MAX >> 1),
                _ => {
                    let texts = ["9", "42[", "451-[", "40/nowhere,", "{}", ""];
                    raw::text(texts[rng.usize(..texts.len())])
                }
            },
            Habit::ReadsNothing => Vec::new(),
            Habit::Sessions => get(self.server, "").into_bytes(),
            Habit::UnreadPolls => get(self.server, &connection.sid)
                .repeat(rng.usize(1..20))
                .into_bytes(),
            Habit::Attachments => {
                let body = format!("451-[\"x\",\"{}\"]", "x".repeat(rng.usize(1..PART)));
                let (server, sid, length) = (self.server, &connection.sid, body.len());
                format!(
                    "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: {server}\r\n\
                     Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
                )
                .into_bytes()
            }
        }
    }
}

/// The head of a GET of a session, or of one that opens a session.
fn get(server: SocketAddr, sid: &str) -> String {
    let sid = match sid {
        "" => String::new(),
        sid => format!("&sid={sid}"),
    };
    format!("GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: {server}\r\n\r\n")
}

/// A connection of a hostile client.
struct Connection {
    stream: TcpStream,
    /// The polling session.
    sid: String,
    /// Whether a message has begun.
    has_begun: bool,
}

impl Connection {
    /// Sends the head of the first request, and reads the first part of what comes.
    async fn open(&mut self, head: &str) -> Option<()> {
        self.stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = [0; 1024];
        let length = self.stream.read(&mut answer).await.ok()?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        if let Some((_, sid)) = answer.split_once("\"sid\":\"") {
            self.sid = sid.split('"').next().unwrap_or_default().to_owned();
        }
        answer
            .starts_with("HTTP/1.1 101 ")
            .then_some(())
            .or_else(|| answer.starts_with("HTTP/1.1 200 ").then_some(()))
    }
}
