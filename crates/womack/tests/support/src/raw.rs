//! Literal bytes on a TCP connection, and WebSocket frames as nobody's library would make them.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::within;

/// The mask of every frame made here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The largest segment that fits into a frame of Ethernet.
const ETHERNET_SEGMENT: u32 = 1460;

/// A TCP connection.
pub struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A frame that came from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub first: u8,
    /// The payload, which a server does not mask.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a close frame; `None` if this is another frame, or one without a code.
    pub fn close_code(&self) -> Option<u16> {
        let [high, low, ..] = self.payload[..] else {
            return None;
        };
        (self.first & 0x0f == 8).then(|| u16::from_be_bytes([high, low]))
    }
}

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server takes a connection");
        stream.set_nodelay(true).expect("a TCP connection");
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Connects from an address of this machine.
    ///
    /// With a receive buffer of so many bytes it has the segments of an Ethernet too: for those of
    /// the loopback interface the system gives a server's socket a send buffer of megabytes.
    ///
    /// # Errors
    /// The system's: the server does not accept the connection.
    pub async fn connect_from(
        from: IpAddr,
        to: SocketAddr,
        receive_buffer: Option<u32>,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
            SockRef::from(&socket).set_tcp_mss(ETHERNET_SEGMENT)?;
        }
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = within("a connection", socket.connect(to)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Connects from another address of this machine, `127.0.0.` and `last`.
    pub async fn connect_from_host(last: u8, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let from = SocketAddr::from(([127, 0, 0, last], 0));
        socket.bind(from).expect("an address of this machine");
        let stream = socket.connect(address).await;
        Self {
            stream: stream.expect("the server takes a connection"),
            unread: Vec::new(),
        }
    }

    /// Connects as a client for which the system keeps hardly any bytes that were not read.
    pub async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a TCP socket");
        let stream = socket.connect(address).await;
        Self {
            stream: stream.expect("the server takes a connection"),
            unread: Vec::new(),
        }
    }

    /// Connects, opens a WebSocket with an Engine.IO session, and joins `/`.
    pub async fn socket(address: SocketAddr) -> Self {
        let mut raw = Self::upgraded(address, "/socket.io/?EIO=4&transport=websocket").await;
        raw.send(&text("40")).await;
        for head in ["0{", "40{"] {
            let frame = raw.frame().await.expect("a packet");
            assert!(
                frame.payload.starts_with(head.as_bytes()),
                "{head}, not {frame:?}"
            );
        }
        raw
    }

    /// Connects and opens a WebSocket.
    pub async fn upgraded(address: SocketAddr, path: &str) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(handshake(path).as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    /// Sends bytes; a connection that the server has closed already is no reason to fail.
    pub async fn send(&mut self, bytes: &[u8]) {
        match within("bytes to go", self.stream.write_all(bytes)).await {
            Ok(()) => {}
            Err(error) if is_closed(error.kind()) => {}
            Err(error) => panic!("sending {} bytes: {error}", bytes.len()),
        }
    }

    /// Sends as much as the server takes within `patience`; returns whether it took all.
    pub async fn try_send(&mut self, bytes: &[u8], patience: Duration) -> bool {
        matches!(
            timeout(patience, self.stream.write_all(bytes)).await,
            Ok(Ok(()))
        )
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        // A connection that the server has closed already is as finished.
        drop(self.stream.shutdown().await);
    }

    /// Reads the head of an HTTP answer.
    pub async fn head(&mut self) -> String {
        let head = self.try_head().await;
        head.unwrap_or_else(|| panic!("the end within a head: {:?}", self.unread))
    }

    /// Reads an HTTP answer whose length its head tells: its status and its body. `None` if the
    /// connection ends before the last byte.
    pub async fn answer(&mut self) -> Option<(u16, Vec<u8>)> {
        let (head, body) = self.answer_with_head().await?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body))
    }

    /// The same with its head in place of its status.
    pub async fn answer_with_head(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.try_head().await?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok())?
        });
        let length = length.unwrap_or_default();
        self.fill(length).await?;
        Some((head, self.unread.drain(..length).collect()))
    }

    /// Reads the head of an HTTP answer; `None` if the connection ends within it.
    pub async fn try_head(&mut self) -> Option<String> {
        loop {
            let end = self
                .unread
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// The next frame; `None` if the connection ends before its last byte.
    pub async fn frame(&mut self) -> Option<Frame> {
        self.fill(2).await?;
        assert_eq!(self.unread[1] & 0x80, 0, "a server's frame is not masked");
        let (head, length) = match self.unread[1] {
            126 => {
                self.fill(4).await?;
                (
                    4,
                    usize::from(u16::from_be_bytes([self.unread[2], self.unread[3]])),
                )
            }
            127 => {
                self.fill(10).await?;
                let length = self.unread[2..10].try_into().expect("eight bytes");
                (
                    10,
                    usize::try_from(u64::from_be_bytes(length)).expect("a length that fits"),
                )
            }
            length => (2, usize::from(length)),
        };
        self.fill(head + length).await?;
        let bytes: Vec<u8> = self.unread.drain(..head + length).collect();
        Some(Frame {
            first: bytes[0],
            payload: bytes[head..].to_vec(),
        })
    }

    /// Reads to the end of the connection.
    pub async fn end(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        std::mem::take(&mut self.unread)
    }

    /// Reads WebSocket frames to the end of the connection.
    pub async fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }

    /// Reads to the end of the connection; returns the code of the close frame before it.
    pub async fn close_code(&mut self) -> Option<u16> {
        self.frames().await.pop()?.close_code()
    }

    async fn fill(&mut self, length: usize) -> Option<()> {
        while self.unread.len() < length {
            if !self.read_more().await {
                return None;
            }
        }
        Some(())
    }

    /// Reads something, or returns false at the end.
    async fn read_more(&mut self) -> bool {
        match within("bytes or the end", self.stream.read_buf(&mut self.unread)).await {
            Ok(read) => read > 0,
            Err(error) if is_closed(error.kind()) => false,
            Err(error) => panic!("reading: {error}"),
        }
    }
}

/// The request that asks for a WebSocket.
pub fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A complete, masked text frame.
pub fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes())
}

/// A masked frame with any first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, 0x80, payload.len() as u64);
    bytes.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame without a mask, which a client must not send.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, 0, payload.len() as u64);
    bytes.extend(payload);
    bytes
}

/// The beginning of a masked frame that claims a length, without any of its payload.
pub fn claim(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = header(first, 0x80, length);
    bytes.extend(MASK);
    bytes
}

fn header(first: u8, mask: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length < 126 => bytes.push(mask | length),
        (_, Ok(length)) => {
            bytes.push(mask | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
    )
}
