//! The floor: the least that a fan-out can cost with one system call per client and message.
//!
//! It is a single-threaded epoll program that speaks just enough Socket.IO for the clients of
//! this benchmark, subscribes to Redis over a plain connection, frames a message once and sends
//! the frame with one `write` per client.
//! As *floor-batch* it first takes all that Redis has ready, and then does one `write` per client.
//! It has no limits, no deadlines and no answer to a malformed packet: it is a measure, not a
//! server. It relies on the load generator to write each packet with one call, which loopback
//! delivers whole.

mod clients;
mod outgoing;

use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use self::{clients::Clients, outgoing::Outgoing};
use crate::{dialect, frame, resp};

const LISTENER: Token = Token(usize::MAX - 1);
const REDIS: Token = Token(usize::MAX - 2);
/// Fits what Redis writes in one go; also how much *floor-batch* takes before it sends.
const READ_BYTES: usize = 1 << 20;

/// The program's whole state.
pub struct Floor {
    poll: Poll,
    listener: TcpListener,
    redis: TcpStream,
    /// Bytes from Redis that do not make a whole reply yet.
    unread: Vec<u8>,
    clients: Clients,
    outgoing: Outgoing,
    channels: HashMap<Box<[u8]>, Channel>,
    /// Channels asked of Redis, and how many of them it has confirmed, in the same order.
    requested: u64,
    confirmed: u64,
    /// Acknowledgements that wait until so many channels are confirmed.
    waiting: VecDeque<(u64, usize, Vec<u8>)>,
    batch: bool,
}

#[derive(Default)]
struct Channel {
    subscribers: Vec<u32>,
}

impl Floor {
    /// Listens on a free port of this host and connects to Redis.
    pub fn open(redis: SocketAddr, batch: bool) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let redis = std::net::TcpStream::connect(redis)?;
        redis.set_nodelay(true)?;
        redis.set_nonblocking(true)?;
        let mut redis = TcpStream::from_std(redis);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        poll.registry()
            .register(&mut redis, REDIS, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            redis,
            unread: Vec::new(),
            clients: Clients::default(),
            outgoing: Outgoing::default(),
            channels: HashMap::new(),
            requested: 0,
            confirmed: 0,
            waiting: VecDeque::new(),
            batch,
        })
    }

    /// Where clients may connect.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until Redis goes away.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                match event.token() {
                    LISTENER => self.clients.accept(&self.listener, self.poll.registry())?,
                    REDIS => self.on_redis(&mut buffer)?,
                    Token(client) => {
                        self.outgoing.resume(&mut self.clients, client);
                        self.on_client(client, &mut buffer)?;
                    }
                }
            }
        }
    }

    fn on_redis(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match self.redis.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.on_replies(&buffer[..length])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.outgoing.flush(&mut self.clients);
        Ok(())
    }

    fn on_replies(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((reply, length)) = resp::scan(&unread[at..]) {
            match reply {
                resp::Reply::Message { channel, payload } => self.deliver(channel, payload),
                resp::Reply::Subscribed => self.on_confirmed(),
                resp::Reply::Error(message) => {
                    return Err(io::Error::other(String::from_utf8_lossy(message)));
                }
                resp::Reply::Integer(_) | resp::Reply::Other => {}
            }
            at += length;
        }
        unread.drain(..at);
        self.unread = unread;
        Ok(())
    }

    /// Frames the message once, and sends or queues it for each subscriber.
    fn deliver(&mut self, key: &[u8], payload: &[u8]) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let name = &key[dialect::KEY.len()..];
        let frame = self.outgoing.frame(name, payload);
        if self.batch {
            self.outgoing
                .queue(&mut self.clients, frame, &channel.subscribers);
        } else {
            self.outgoing
                .send(&mut self.clients, frame, &channel.subscribers);
        }
    }

    fn on_client(&mut self, client: usize, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match self.clients.read(client, buffer) {
                Ok(0) => break,
                Ok(length) if self.clients.open(client) => {
                    if !self.on_frames(client, &mut buffer[..length])? {
                        break;
                    }
                    if length < buffer.len() {
                        return Ok(());
                    }
                }
                Ok(length) => {
                    let answer = clients::upgrade(&buffer[..length])?;
                    self.outgoing.reply(&mut self.clients, client, &answer);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => break,
            }
        }
        self.close(client);
        Ok(())
    }

    /// Whether the client is still there after what it said.
    fn on_frames(&mut self, client: usize, mut bytes: &mut [u8]) -> io::Result<bool> {
        while let Some(found) = frame::unmask(bytes) {
            if found.kind == frame::Kind::Close {
                return Ok(false);
            }
            let (frame, rest) = bytes.split_at_mut(found.end);
            let packet = &frame[found.start..];
            if packet == b"40" {
                let answer = br#"40{"sid":"floor"}"#;
                self.outgoing.reply_text(&mut self.clients, client, answer);
            } else if packet.starts_with(b"42") {
                self.subscribe(client, packet)?;
            }
            bytes = rest;
        }
        Ok(true)
    }

    /// `420["subscribe",{"channel":"a"}]`, or `{"channels":["a","b"]}`.
    fn subscribe(&mut self, client: usize, packet: &[u8]) -> io::Result<()> {
        let strings = packet.split(|&byte| byte == b'"').skip(1).step_by(2);
        let mut answer = packet[..2].to_vec();
        answer[1] = b'3';
        answer.extend(packet[2..].iter().take_while(|byte| byte.is_ascii_digit()));
        answer.extend_from_slice(br#"[{"ok":true,"channels":["#);
        let mut command = Vec::new();
        // The first two strings are the event's name and the argument's key.
        for name in strings.skip(2) {
            let key = [dialect::KEY.as_bytes(), name].concat().into_boxed_slice();
            let channel = self.channels.entry(key).or_insert_with_key(|key| {
                self.requested += 1;
                command.extend_from_slice(
                    format!("*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n", key.len()).as_bytes(),
                );
                command.extend_from_slice(key);
                command.extend_from_slice(b"\r\n");
                Channel::default()
            });
            channel.subscribers.push(client as u32);
            answer.extend_from_slice(&[b"\"", name, b"\","].concat());
        }
        answer.pop();
        answer.extend_from_slice(b"]}]");
        self.redis.write_all(&command)?;
        if self.confirmed == self.requested {
            self.outgoing.reply_text(&mut self.clients, client, &answer);
        } else {
            self.waiting.push_back((self.requested, client, answer));
        }
        Ok(())
    }

    /// Redis confirms in the order in which it was asked.
    fn on_confirmed(&mut self) {
        self.confirmed += 1;
        while let Some((_, client, answer)) = self
            .waiting
            .pop_front_if(|(needed, ..)| *needed <= self.confirmed)
        {
            self.outgoing.reply_text(&mut self.clients, client, &answer);
        }
    }

    /// Looks through all channels: nothing is kept per client to make leaving quick.
    fn close(&mut self, client: usize) {
        self.waiting.retain(|(_, waiting, _)| *waiting != client);
        for channel in self.channels.values_mut() {
            let index = channel
                .subscribers
                .iter()
                .position(|&id| id as usize == client);
            if let Some(index) = index {
                channel.subscribers.swap_remove(index);
            }
        }
        self.outgoing.forget(client);
        self.clients.close(client);
    }
}
