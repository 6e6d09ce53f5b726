//! One client: from the first byte to its subscription, and then every message checked.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::LazyLock,
};

use mio::{Interest, Registry, Token, net::TcpStream};
use thiserror::Error;
use tungstenite::handshake::derive_accept_key;

use crate::{
    frame::{self, Kind},
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
    /// The request for a WebSocket is sent.
    Upgrading,
    /// The open packet is to come.
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
    transport: Transport,
    stage: Stage,
    /// The beginning of a frame or an answer whose end has not come yet.
    unread: Vec<u8>,
    subscriptions: Subscriptions,
    /// Whether its deliveries are expected; those of a passer-by are only checked for order.
    counts: bool,
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
            transport: if kind.polling {
                Transport::Polling(Polling::default())
            } else {
                Transport::WebSocket
            },
            stage: Stage::Connecting,
            unread: Vec::new(),
            subscriptions: Subscriptions::new(channels, kind.counts),
            counts: kind.counts,
        })
    }

    /// Whether it is subscribed.
    #[must_use]
    #[inline]
    pub fn ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Whether its deliveries are expected.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.counts
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
        let peer = match self.stream.peer_addr() {
            Ok(peer) => peer,
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.stream.set_nodelay(true)?;
        match &mut self.transport {
            Transport::WebSocket => {
                self.stage = Stage::Upgrading;
                let request = format!(
                    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {peer}\r\n\
                     Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: {KEY}\r\n\r\n"
                );
                self.stream.write_all(request.as_bytes())?;
            }
            Transport::Polling(polling) => {
                self.stage = Stage::Opening;
                self.stream.write_all(&polling.request())?;
            }
        }
        Ok(true)
    }

    fn on_websocket(&mut self, bytes: &[u8], tally: &mut Tally) -> Result<usize, Failure> {
        let mut at = 0;
        if self.stage == Stage::Upgrading {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(0);
            };
            let accepted = bytes.starts_with(b"HTTP/1.1 101")
                && memchr::memmem::find(&bytes[..end], ACCEPT.as_bytes()).is_some();
            if !accepted {
                return Err(self.unexpected(&bytes[..end]));
            }
            self.stage = Stage::Opening;
            at = end + 4;
        }
        let now = tally.now();
        while let Some(found) = frame::scan(&bytes[at..]) {
            let payload = &bytes[at + found.start..at + found.end];
            match found.kind {
                Kind::Text => self.on_packet(payload, now, tally)?,
                Kind::Close => return Err(Failure::Closed(self.stage)),
                Kind::Ping | Kind::Other => return Err(self.unexpected(payload)),
            }
            at += found.end;
        }
        Ok(at)
    }

    fn on_polling(&mut self, bytes: &[u8], tally: &mut Tally) -> Result<usize, Failure> {
        let now = tally.now();
        let Some(answer) = Polling::scan(bytes) else {
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

    #[inline]
    fn on_packet(&mut self, packet: &[u8], now: u64, tally: &mut Tally) -> Result<(), Failure> {
        if packet.starts_with(b"42") {
            self.on_message(packet, now, tally);
            return Ok(());
        }
        match (self.stage, packet) {
            (Stage::Opening, [b'0', ..]) => {
                if let Transport::Polling(polling) = &mut self.transport {
                    polling.open(packet);
                }
                self.stage = Stage::Joining;
                self.send(b"40")
            }
            (Stage::Joining, [b'4', b'0', ..]) => {
                self.stage = Stage::Subscribing;
                self.send(&self.subscribe())
            }
            (Stage::Subscribing, [b'4', b'3', ..])
                if memchr::memmem::find(packet, br#""ok":true"#).is_some() =>
            {
                self.stage = Stage::Ready;
                Ok(())
            }
            (_, b"2") => self.send(b"3"),
            (_, b"6") => Ok(()),
            _ => Err(self.unexpected(packet)),
        }
    }

    /// Checks that a message is whole and the next of its channel.
    #[inline]
    fn on_message(&mut self, packet: &[u8], now: u64, tally: &mut Tally) {
        let Some(stamp) = Stamp::read(packet, tally.payload_len) else {
            tally.wrong += 1;
            return;
        };
        let arrival = self.subscriptions.take(&stamp);
        if arrival != Arrival::InOrder {
            tally.wrong += 1;
        }
        if self.counts && matches!(arrival, Arrival::InOrder | Arrival::AfterGap) {
            tally.delivered(&stamp, now);
        }
    }

    fn subscribe(&self) -> Vec<u8> {
        let names = self.subscriptions.channels().map(channel_name);
        let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
        let argument = match names.as_slice() {
            [name] => format!(r#"{{"channel":{name}}}"#),
            names => format!(r#"{{"channels":[{}]}}"#, names.join(",")),
        };
        format!(r#"420["subscribe",{argument}]"#).into_bytes()
    }

    /// A client says so little that its socket always takes it whole.
    fn send(&mut self, packet: &[u8]) -> Result<(), Failure> {
        match &mut self.transport {
            Transport::WebSocket => {
                let mut bytes = Vec::with_capacity(packet.len() + 8);
                frame::client_text(packet, &mut bytes);
                self.stream.write_all(&bytes)?;
            }
            Transport::Polling(polling) => polling.push(packet),
        }
        Ok(())
    }

    fn unexpected(&self, bytes: &[u8]) -> Failure {
        let bytes = &bytes[..bytes.len().min(200)];
        Failure::Unexpected(self.stage, String::from_utf8_lossy(bytes).into_owned())
    }
}

/// What sort of client to open.
#[derive(Clone, Copy, Debug)]
pub struct ClientKind {
    /// Long-polling instead of a WebSocket.
    pub polling: bool,
    /// Whether its deliveries are expected.
    pub counts: bool,
}
