//! All clients and the publisher on one thread and one epoll.

use std::{
    io::{self, ErrorKind},
    mem,
    net::SocketAddr,
    time::Duration,
};

use mio::{Events, Poll, Token};
use slab::Slab;

use crate::{
    client::{Client, ClientKind, Failure, Role},
    dialect::Dialect,
    process::Addresses,
    publisher::Publisher,
    tally::Tally,
    workload::Workload,
};

/// Clients that connect at the same time; few enough for any listener's queue.
pub(crate) const CONNECTING: usize = 64;
/// How long the fleet waits for something to happen.
pub(crate) const TURN: Duration = Duration::from_millis(50);
const PUBLISHER: Token = Token(usize::MAX - 1);
/// Holds the longest run of merged frames that is worth one read.
const READ_BYTES: usize = 256 << 10;

/// The load on one server.
pub struct Fleet {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    server: SocketAddr,
    dialect: Dialect,
    polling: bool,
    clients: Slab<Client>,
    /// Who publishes.
    pub publisher: Publisher,
    /// What was counted.
    pub tally: Tally,
    /// Clients that are subscribed and expect every message.
    pub ready: usize,
    /// Clients opened that are not subscribed yet.
    pub connecting: usize,
    /// Clients that could not get as far as that.
    pub failed: u64,
    /// The first thing that went wrong with any client.
    pub failure: Option<Failure>,
}

impl Fleet {
    /// A fleet without clients.
    pub fn open(server: Addresses, dialect: Dialect, workload: &Workload) -> io::Result<Self> {
        let poll = Poll::new()?;
        let payload_len = workload.payload_len;
        let publisher = Publisher::open(
            server.publisher,
            dialect,
            (poll.registry(), PUBLISHER),
            workload.channels(),
            payload_len,
        )?;
        let mut tally = Tally::new(payload_len);
        tally.watched = workload.watched();
        Ok(Self {
            poll,
            events: Events::with_capacity(1_024),
            buffer: vec![0; READ_BYTES],
            server: server.clients,
            dialect,
            polling: workload.polling,
            clients: Slab::with_capacity(workload.clients),
            publisher,
            tally,
            ready: 0,
            connecting: 0,
            failed: 0,
            failure: None,
        })
    }

    /// Where the clients connect.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Opens a client that expects every message of these channels.
    pub fn connect(&mut self, channels: &[u32]) -> io::Result<()> {
        for &channel in channels {
            self.publisher.expect_subscriber(channel);
        }
        self.open_client(channels, Role::Listener)
    }

    /// Opens a client that leaves as soon as it is subscribed.
    pub fn pass_by(&mut self, channel: u32) -> io::Result<()> {
        self.open_client(&[channel], Role::PasserBy)
    }

    /// Opens a client that reads nothing once it is subscribed.
    pub fn stall(&mut self, channel: u32) -> io::Result<()> {
        self.open_client(&[channel], Role::Stalled)
    }

    /// Lets those go that are not subscribed yet; they have failed.
    pub(crate) fn give_up_connecting(&mut self) {
        self.clients.retain(|_, client| client.ready());
        self.failed += mem::take(&mut self.connecting) as u64;
    }

    /// Waits for something to happen, at most so long, and handles it.
    pub fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &self.events {
            if event.token() == PUBLISHER {
                self.publisher.on_event(&mut self.buffer)?;
                continue;
            }
            let Token(id) = event.token();
            let Some(client) = self.clients.get_mut(id) else {
                continue;
            };
            let was_ready = client.ready();
            let result = client.on_event(&mut self.buffer, &mut self.tally);
            if was_ready && result.is_ok() {
                continue;
            }
            let (ready, role) = (client.ready(), client.role());
            if !was_ready && (ready || result.is_err()) {
                self.connecting -= 1;
            }
            match result {
                Ok(()) if !ready => {}
                Ok(()) => match role {
                    Role::Listener => self.ready += 1,
                    Role::PasserBy => drop(self.clients.remove(id)),
                    Role::Stalled => client.stall(self.poll.registry())?,
                },
                Err(failure) => {
                    if was_ready {
                        self.tally.closed += 1;
                    } else {
                        self.failed += 1;
                    }
                    self.failure.get_or_insert(failure);
                    self.clients.remove(id);
                }
            }
        }
        Ok(())
    }

    fn open_client(&mut self, channels: &[u32], role: Role) -> io::Result<()> {
        let entry = self.clients.vacant_entry();
        let kind = ClientKind {
            dialect: self.dialect.of_client(entry.key()),
            polling: self.polling,
            role,
        };
        let token = Token(entry.key());
        let client = Client::open(self.server, self.poll.registry(), token, channels, kind)?;
        entry.insert(client);
        self.connecting += 1;
        Ok(())
    }
}
