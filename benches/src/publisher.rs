//! Publishes through Redis, as an application would, over one pipelined connection.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::{
    message::{Stamp, Template},
    resp::{self, Reply},
    tally::Tally,
};

/// A connection to Redis and the numbering of messages.
pub struct Publisher {
    stream: TcpStream,
    template: Template,
    outgoing: Vec<u8>,
    unread: Vec<u8>,
    channels: Vec<Channel>,
    /// Messages published.
    pub published: u64,
    /// Deliveries that they should cause.
    pub expected: u64,
}

#[derive(Clone, Default)]
struct Channel {
    subscribers: u32,
    sequence: u64,
}

impl Publisher {
    /// Connects to Redis.
    pub fn open(
        redis: SocketAddr,
        registry: &Registry,
        token: Token,
        channels: u32,
        payload_len: usize,
    ) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(redis)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            template: Template::new(payload_len),
            outgoing: Vec::new(),
            unread: Vec::new(),
            channels: vec![Channel::default(); channels as usize],
            published: 0,
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

    /// Sends as much as Redis takes; the rest follows by [`on_event`](Self::on_event).
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

    /// Goes on sending, and reads what Redis answers.
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
        while let Some((reply, length)) = resp::scan(&self.unread[at..]) {
            if let Reply::Error(message) = reply {
                return Err(io::Error::other(String::from_utf8_lossy(message)));
            }
            at += length;
        }
        self.unread.drain(..at);
        Ok(())
    }
}
