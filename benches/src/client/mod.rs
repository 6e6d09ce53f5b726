//! One client: from the first byte to its subscription, and then every message checked.
//!
//! What is said between the two depends on the dialect, and is in the files of those names.

mod nats;
mod nchan;
mod socket_io;
mod socket_io_09;

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::LazyLock,
};

use mio::{Interest, Registry, Token, net::TcpStream};
use thiserror::Error;
use tungstenite::handshake::derive_accept_key;

use crate::{
    dialect::Dialect,
    frame::{self, Kind},
    http::Answer,
    message::{Stamp, channel_name},
    polling::Polling,
    subscription::{Arrival, Subscriptions},
    tally::Tally,
};

/// Every client uses the same key: its randomness is for caches, of which there are none here.
const KEY: &str = "d29tYWNrLWJlbmNobWFyaw==";
static ACCEPT: LazyLock<String> = LazyLock::new(|| derive_accept_key(KEY.as_bytes()));

/// Why a client could not get or stay connected.
#[derive(Debug, Error)]
pub enum Failure {
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// The server ended the connection.
    #[error("closed by the server while {0:?}")]
    Closed(Stage),
    /// The server said something else than it should.
    #[error("unexpected while {0:?}: {1}")]
    Unexpected(Stage, String),
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The TCP connection is being made.
    Connecting,
    /// A session is asked for, which Socket.IO 0.9 does before anything else.
    ShakingHands,
    /// The request for a WebSocket is sent.
    Upgrading,
    /// The server is to introduce itself.
    Opening,
    /// The namespace is to be confirmed.
    Joining,
    /// The subscription is to be acknowledged.
    Subscribing,
    /// Whatever is published from here on arrives.
    Ready,
}

/// A connection with its subscriptions.
pub struct Client {
    stream: TcpStream,
    dialect: Dialect,
    transport: Transport,
    stage: Stage,
    /// The beginning of a frame or an answer whose end has not come yet.
    unread: Vec<u8>,
    /// The beginning of an operation whose end is in a later frame.
    unfinished: Vec<u8>,
    subscriptions: Subscriptions,
    role: Role,
}

enum Transport {
    WebSocket,
    Polling(Polling),
}

impl Client {
    /// Begins to connect.
    pub fn open(
        server: SocketAddr,
        registry: &Registry,
        token: Token,
        channels: &[u32],
        kind: ClientKind,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        // Edge-triggered: the interest in writing matters once, when the connection is made.
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            dialect: kind.dialect,
            transport: if kind.polling {
                Transport::Polling(Polling::default())
            } else {
                Transport::WebSocket
            },
            stage: Stage::Connecting,
            unread: Vec::new(),
            unfinished: Vec::new(),
            subscriptions: Subscriptions::new(channels, kind.role == Role::Listener),
            role: kind.role,
        })
    }

    /// Whether it is subscribed.
    #[must_use]
    #[inline]
    pub fn ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// What it is there for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Ends reading; its connection stays open.
    pub fn stall(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.stream)
    }

    /// Goes on as far as the socket allows.
    pub fn on_event(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Result<(), Failure> {
        if self.stage == Stage::Connecting && !self.begin()? {
            return Ok(());
        }
        loop {
            let carried = self.unread.len();
            let length = match self.stream.read(&mut buffer[carried..]) {
                Ok(0) => return Err(Failure::Closed(self.stage)),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            tally.reads += 1;
            buffer[..carried].copy_from_slice(&self.unread);
            self.unread.clear();
            let bytes = &buffer[..carried + length];
            let used = match self.transport {
                Transport::WebSocket => self.on_websocket(bytes, tally)?,
                Transport::Polling(_) => self.on_polling(bytes, tally)?,
            };
            self.unread.extend_from_slice(&bytes[used..]);
            // A short read has emptied the socket; what comes later raises a new event.
            if bytes.len() < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Sends the first request; whether the connection was there to send it.
    fn begin(&mut self) -> Result<bool, Failure> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error.into());
        }
        match self.stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.stream.set_nodelay(true)?;
        match &mut self.transport {
            Transport::WebSocket => {
                let channel = self.subscriptions.channels().next().unwrap_or_default();
                let target = self.dialect.target(&channel_name(channel));
                if self.dialect == Dialect::SocketIo09 {
                    self.shake_hands(&target)?;
                } else {
                    self.upgrade(&target)?;
                }
            }
            Transport::Polling(polling) => {
                self.stage = Stage::Opening;
                self.stream.write_all(&polling.request())?;
            }
        }
        Ok(true)
    }

    /// Asks for the WebSocket.
    fn upgrade(&mut self, target: &str) -> Result<(), Failure> {
        self.stage = Stage::Upgrading;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        Ok(self.stream.write_all(request.as_bytes())?)
    }

    fn on_websocket(&mut self, bytes: &[u8], tally: &mut Tally) -> Result<usize, Failure> {
        let mut at = 0;
        if self.stage == Stage::ShakingHands {
            return self.on_handshake(bytes);
        }
        if self.stage == Stage::Upgrading {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(0);
            };
            let accepted = bytes.starts_with(b"HTTP/1.1 101")
                && memchr::memmem::find(&bytes[..end], ACCEPT.as_bytes()).is_some();
            if !accepted {
                return Err(self.unexpected(&bytes[..end]));
            }
            // With nchan the channel was part of the request.
            self.stage = match self.dialect {
                Dialect::SocketIo | Dialect::SocketIo09 | Dialect::Mixed | Dialect::Nats => {
                    Stage::Opening
                }
                Dialect::Nchan => Stage::Ready,
            };
            at = end + 4;
        }
        let now = tally.now();
        while let Some(found) = frame::scan(&bytes[at..]) {
            let payload = &bytes[at + found.start..at + found.end];
            match found.kind {
                Kind::Message => match self.dialect {
                    Dialect::SocketIo | Dialect::Mixed => self.on_packet(payload, now, tally)?,
                    Dialect::SocketIo09 => self.on_packet_09(payload, now, tally)?,
                    Dialect::Nats => self.on_operations(payload, now, tally)?,
                    Dialect::Nchan => self.on_payload(payload, now, tally),
                },
                Kind::Close => return Err(Failure::Closed(self.stage)),
                Kind::Ping | Kind::Other => return Err(self.unexpected(payload)),
            }
            at += found.end;
        }
        Ok(at)
    }

    fn on_polling(&mut self, bytes: &[u8], tally: &mut Tally) -> Result<usize, Failure> {
        let now = tally.now();
        let Some(answer) = Answer::scan(bytes) else {
            return Ok(0);
        };
        if !answer.ok {
            return Err(self.unexpected(&bytes[..answer.end]));
        }
        let body = &bytes[answer.start..answer.end];
        if body != b"ok" {
            for packet in body.split(|&byte| byte == 0x1e) {
                self.on_packet(packet, now, tally)?;
            }
        }
        if let Transport::Polling(polling) = &mut self.transport {
            self.stream.write_all(&polling.request())?;
        }
        Ok(answer.end)
    }

    /// Counts a message, and checks that it is whole and the next of its channel.
    #[inline]
    fn on_message(&mut self, stamp: Option<Stamp>, now: u64, tally: &mut Tally) {
        let Some(stamp) = stamp else {
            tally.wrong += 1;
            return;
        };
        let arrival = self.subscriptions.take(&stamp);
        if arrival != Arrival::InOrder {
            tally.wrong += 1;
        }
        if self.role == Role::Listener && matches!(arrival, Arrival::InOrder | Arrival::AfterGap) {
            tally.delivered(&stamp, now);
        }
    }

    fn unexpected(&self, bytes: &[u8]) -> Failure {
        let bytes = &bytes[..bytes.len().min(200)];
        Failure::Unexpected(self.stage, String::from_utf8_lossy(bytes).into_owned())
    }
}

/// What sort of client to open.
#[derive(Clone, Copy, Debug)]
pub struct ClientKind {
    /// What the server understands.
    pub dialect: Dialect,
    /// Long-polling instead of a WebSocket.
    pub polling: bool,
    /// What it is there for.
    pub role: Role,
}

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Every message is expected to arrive.
    Listener,
    /// It leaves when it is subscribed; what it gets is only checked for order.
    PasserBy,
    /// It reads nothing when it is subscribed.
    Stalled,
}
