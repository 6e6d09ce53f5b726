//! Publishes as an application would, over one pipelined connection: through Redis, or to a server
//! that has publishers of its own.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::{
    dialect::Dialect,
    http::Answer,
    message::{Stamp, Template},
    nats::{self, Operation},
    resp::{self, Reply},
    tally::Tally,
};

/// A connection, and the numbering of messages.
pub struct Publisher {
    stream: TcpStream,
    dialect: Dialect,
    template: Template,
    outgoing: Vec<u8>,
    unread: Vec<u8>,
    channels: Vec<Channel>,
    /// Messages published.
    pub published: u64,
    /// How many of them Redis, or the server, has answered.
    pub answered: u64,
    /// Deliveries that they should cause.
    pub expected: u64,
}

#[derive(Clone, Default)]
struct Channel {
    subscribers: u32,
    sequence: u64,
}

impl Publisher {
    /// Connects to Redis, or to whoever understands the dialect.
    pub fn open(
        address: SocketAddr,
        dialect: Dialect,
        (registry, token): (&Registry, Token),
        channels: u32,
        payload_len: usize,
    ) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            dialect,
            template: Template::new(dialect, payload_len),
            outgoing: dialect.greeting().into(),
            unread: Vec::new(),
            channels: vec![Channel::default(); channels as usize],
            published: 0,
            answered: 0,
            expected: 0,
        })
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> u32 {
        self.channels.len() as u32
    }

    /// One more client expects the messages of this channel.
    pub fn expect_subscriber(&mut self, channel: u32) {
        self.channels[channel as usize].subscribers += 1;
    }

    /// Adds a message to those that the next [`flush`](Self::flush) sends.
    pub fn publish(&mut self, channel: u32, tally: &mut Tally) {
        let entry = &mut self.channels[channel as usize];
        let stamp = Stamp {
            channel,
            number: self.published,
            sequence: entry.sequence,
            nanos: tally.now(),
        };
        entry.sequence += 1;
        self.published += 1;
        self.expected += u64::from(entry.subscribers);
        tally.published(stamp.number, entry.subscribers);
        self.template.append(&stamp, &mut self.outgoing);
    }

    /// Sends as much as the socket takes; the rest follows by [`on_event`](Self::on_event).
    pub fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.outgoing.drain(..written);
        Ok(())
    }

    /// Goes on sending, and reads what is answered.
    pub fn on_event(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.flush()?;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.on_replies(&buffer[..length])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn on_replies(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unread.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(length) = self.on_reply(at)? {
            at += length;
        }
        self.unread.drain(..at);
        Ok(())
    }

    /// Handles the reply at this place of what is unread, and tells its length.
    fn on_reply(&mut self, at: usize) -> io::Result<Option<usize>> {
        let bytes = &self.unread[at..];
        let refused = |message: &[u8]| Err(io::Error::other(String::from_utf8_lossy(message)));
        match self.dialect {
            Dialect::SocketIo | Dialect::SocketIo09 | Dialect::Mixed => match resp::scan(bytes) {
                Some((Reply::Error(message), _)) => return refused(message),
                Some((_, length)) => {
                    self.answered += 1;
                    return Ok(Some(length));
                }
                None => {}
            },
            Dialect::Nats => match nats::scan(bytes) {
                Some((Operation::Error(message), _)) => return refused(message),
                Some((operation, length)) => {
                    if operation == Operation::Ping {
                        self.outgoing.extend_from_slice(b"PONG\r\n");
                    }
                    return Ok(Some(length));
                }
                None => {}
            },
            Dialect::Nchan => match Answer::scan(bytes) {
                Some(answer) if answer.ok => {
                    self.answered += 1;
                    return Ok(Some(answer.end));
                }
                Some(answer) => return refused(&bytes[..answer.end]),
                None => {}
            },
        }
        Ok(None)
    }
}
