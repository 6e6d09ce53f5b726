//! The servers that a load attacks, and the steps that loads have in common.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use serde_json::{Value, json};
use womack_test_support::{
    Redis, Server, Signal,
    raw::{self, Raw},
};

/// The address of attackers; all others connect from 127.0.0.1.
const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Receive buffer of attackers: small, so that unread bytes stay with the server.
const RECEIVE_BUFFER: u32 = 4096;
/// Time-out of sending to a server that does not read.
pub(crate) const PUSH: Duration = Duration::from_secs(2);
/// Size of a large message in bytes, a little below the limits of 1 MB.
pub(crate) const LARGE: usize = 990_000;

/// The servers that an attacker meets.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) servers: Rc<Vec<Server>>,
    pub(crate) redis: Rc<Redis>,
    /// Number of attacking clients.
    pub(crate) clients: usize,
}

impl Target {
    /// The node of the sessions.
    pub(crate) fn owner(&self) -> SocketAddr {
        self.servers[0].address()
    }

    /// The node that requests for sessions reach.
    pub(crate) fn ingress(&self) -> SocketAddr {
        let last = self.servers.last();
        last.expect("a load meets at least one server").address()
    }

    /// A connection to the ingress, if it takes one.
    pub(crate) async fn connect(&self) -> Option<Raw> {
        connect(self.ingress()).await
    }

    /// As many connections as the load has clients, each of which has sent `bytes`.
    pub(crate) async fn each_sends(&self, bytes: &[u8]) -> Vec<Raw> {
        let mut sockets = Vec::new();
        for _ in 0..self.clients {
            let Some(mut socket) = self.connect().await else {
                continue;
            };
            socket.try_send(bytes, PUSH).await;
            sockets.push(socket);
        }
        sockets
    }

    /// A WebSocket at the ingress, if it opens one.
    pub(crate) async fn upgraded(&self, path: &str) -> Option<Raw> {
        upgrade(self.connect().await?, path).await
    }

    /// The same over a connection that takes much at a time.
    pub(crate) async fn upgraded_quickly(&self, path: &str) -> Option<Raw> {
        let socket = Raw::connect_from(ATTACKER, self.ingress(), None).await;
        upgrade(socket.ok()?, path).await
    }

    /// A client of Socket.IO that has joined `/` over WebSocket, if it may.
    pub(crate) async fn socket(&self) -> Option<Raw> {
        let mut socket = self
            .upgraded("/socket.io/?EIO=4&transport=websocket")
            .await?;
        socket.try_send(&raw::text("40"), PUSH).await;
        socket.frame().await?;
        socket.frame().await?;
        Some(socket)
    }

    /// Such a client that is in channels.
    pub(crate) async fn subscribed(&self, channels: &[String]) -> Option<Raw> {
        let mut socket = self.socket().await?;
        let subscribe = raw::text(&format!("420{}", subscribe(channels)));
        socket
            .try_send(&subscribe, PUSH)
            .await
            .then_some(socket)?
            .answered()
            .await
    }

    /// As many such clients as the load has, each in a channel of its own.
    pub(crate) async fn each_subscribed(&self) -> Vec<Raw> {
        let mut sockets = Vec::new();
        for client in 0..self.clients {
            sockets.extend(self.subscribed(&[channel(client)]).await);
        }
        sockets
    }

    /// Publishes a large message in the channel of each client.
    pub(crate) async fn publish_to_each(&self) {
        for client in 0..self.clients {
            self.redis.publish(&channel(client), &envelope(LARGE)).await;
        }
    }

    /// Sends bytes over each socket while the server does not read, so that it finds them all in
    /// one turn.
    pub(crate) async fn each_sends_while_halted(&self, sockets: &mut [Raw], bytes: &[u8]) {
        let server = &self.servers[0];
        server.signal(Signal::Halt).await;
        for socket in sockets {
            socket.try_send(bytes, PUSH).await;
        }
        server.signal(Signal::GoOn).await;
    }
}

async fn upgrade(mut socket: Raw, path: &str) -> Option<Raw> {
    let handshake = raw::handshake(path);
    socket
        .try_send(handshake.as_bytes(), PUSH)
        .await
        .then_some(())?;
    let head = socket.try_head().await?;
    head.starts_with("HTTP/1.1 101 ").then_some(socket)
}

/// Waits for the acknowledgement of a request.
trait Answered: Sized {
    /// `None` if the connection ends before it.
    async fn answered(self) -> Option<Self>;
}

impl Answered for Raw {
    async fn answered(mut self) -> Option<Self> {
        loop {
            let frame = self.frame().await?;
            if frame.payload.starts_with(b"430") {
                return Some(self);
            }
        }
    }
}

/// A connection from the attackers' address, if the server takes one.
pub(crate) async fn connect(to: SocketAddr) -> Option<Raw> {
    let socket = Raw::connect_from(ATTACKER, to, Some(RECEIVE_BUFFER)).await;
    socket.ok()
}

/// The channel of a client that shares it with nobody.
pub(crate) fn channel(client: usize) -> String {
    format!("hostile-{client}")
}

/// A message of so many bytes.
pub(crate) fn envelope(bytes: usize) -> String {
    json!({ "data": "x".repeat(bytes) }).to_string()
}

/// An event that asks for channels.
pub(crate) fn subscribe(channels: &[String]) -> Value {
    json!(["subscribe", { "channels": channels }])
}

/// Names of channels that nobody else has, of about `bytes` each.
pub(crate) fn names(client: usize, count: usize, bytes: usize) -> Vec<String> {
    let filling = "n".repeat(bytes.saturating_sub(16));
    (0..count)
        .map(|name| format!("{client:06}-{name:06}-{filling}"))
        .collect()
}
