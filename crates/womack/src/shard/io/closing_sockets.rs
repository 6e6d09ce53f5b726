//! WebSockets whose connection has ended, and whose last bytes are still to be written or read.
//!
//! Such a socket is closed once its client has closed it too. To close it earlier would lose what
//! is under way: the system answers what a client sends to a closed socket, or what was not read
//! from it, by a reset, and throws away what it has still to send. So what comes in is read, and
//! nobody looks at it. All have the same time for this; then they are closed whatever became of
//! their bytes.

use std::{
    io,
    time::{Duration, Instant},
};

use mio::{Registry, Token};
use slab::Slab;

use super::wire::Wire;
use crate::{
    engine::{Ticket, TimeoutQueue},
    ledger::Limit,
    memory::{CLOSING_BYTES, Charge, Ledger},
    shard::{
        Shard,
        delivery::{pending::Pending, round::Outbox},
    },
};

/// How long a connection that the server has ended stays open for its client to read the end.
pub(crate) const CLOSING_TIME: Duration = Duration::from_secs(2);
/// Reads from one socket before others have their turn.
const READS_AT_ONCE: usize = 16;

/// The WebSockets of a shard that have ended.
pub(crate) struct ClosingSockets {
    sockets: TimeoutQueue<ClosingSocket>,
    /// Gives each a small number, by which the system knows it.
    tickets: Slab<Ticket>,
    ledger: Ledger,
}

struct ClosingSocket {
    wire: Wire,
    pending: Option<Box<Pending>>,
    /// Its place among the tickets.
    key: usize,
    _charge: Charge,
}

/// How far a socket has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// Both sides have ended.
    Done,
    /// The socket tells when there is something to do.
    Waits,
    /// There is more to read, of which the socket does not tell again.
    HasMore,
}

impl ClosingSockets {
    /// None yet; what they take is charged to `ledger`.
    pub(crate) const fn new(ledger: Ledger) -> Self {
        Self {
            sockets: TimeoutQueue::new(CLOSING_TIME),
            tickets: Slab::new(),
            ledger,
        }
    }

    /// Takes a WebSocket that ends when what is left in its outbox is written.
    pub(crate) fn add(&mut self, wire: Wire, outbox: Outbox, now: Instant, registry: &Registry) {
        let entry = self.tickets.vacant_entry();
        let key = entry.key();
        let mut socket = ClosingSocket {
            wire,
            pending: outbox.pending,
            key,
            _charge: self.ledger.hold(CLOSING_BYTES),
        };
        socket.wire.partial = None;
        // Its events begin anew with the token, so what came before is told again.
        let written = socket.write();
        let told = written.and_then(|()| socket.wire.rename(token(key), registry));
        if told.is_ok() {
            entry.insert(self.sockets.push(socket, now));
        }
    }

    /// Takes a WebSocket that ends with what its socket takes of the outbox now.
    pub(crate) fn cut(
        &mut self,
        mut wire: Wire,
        outbox: Outbox,
        now: Instant,
        registry: &Registry,
    ) {
        if let Some(mut pending) = outbox.pending {
            // Whether it is written or not, this is the end.
            pending.write_to(&mut wire).ok();
        }
        self.add(wire, Outbox::new(), now, registry);
    }

    /// The socket with this token is ready. False if it is none of these. What is read into
    /// `buffer` is of no use to anybody.
    pub(crate) fn ready(&mut self, token: Token, buffer: &mut [u8], registry: &Registry) -> bool {
        let Some(key) = key(token) else {
            return false;
        };
        // An event that was for an earlier one in the same place finds nothing to do.
        let ticket = self.tickets.get(key);
        if let Some(socket) = ticket.and_then(|ticket| self.sockets.get_mut(*ticket)) {
            match socket.advance(buffer) {
                Ok(Progress::Waits) => {}
                // The socket tells of it again under its token, even if that is the same.
                Ok(Progress::HasMore) => drop(socket.wire.rename(token, registry)),
                Ok(Progress::Done) | Err(_) => self.remove(key),
            }
        }
        true
    }

    /// Closes those whose time is up.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((_, socket)) = self.sockets.expire(now) {
            self.tickets.try_remove(socket.key);
        }
    }

    /// When [`ClosingSockets::expire`] next has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.sockets.next_deadline()
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.sockets.len()
    }

    /// How much waits for each that still has bytes, and its key; the least first.
    fn weights(&mut self) -> Vec<(usize, usize)> {
        let weights = self.tickets.iter().filter_map(|(key, ticket)| {
            let pending = self.sockets.get_mut(*ticket)?.pending.as_ref()?;
            Some((pending.len(), key))
        });
        let mut weights: Vec<_> = weights.collect();
        weights.sort_unstable();
        weights
    }

    fn remove(&mut self, key: usize) {
        if let Some(ticket) = self.tickets.try_remove(key) {
            self.sockets.remove(ticket);
        }
    }
}

impl ClosingSocket {
    /// Writes what the socket takes, and ends the stream when nothing is left.
    fn write(&mut self) -> io::Result<()> {
        if let Some(pending) = &mut self.pending
            && !pending.write_to(&mut self.wire)?
        {
            return Ok(());
        }
        self.pending = None;
        self.wire.finish();
        Ok(())
    }

    /// Writes and reads what there is.
    fn advance(&mut self, buffer: &mut [u8]) -> io::Result<Progress> {
        if self.pending.is_some() {
            self.write()?;
        }
        for _ in 0..READS_AT_ONCE {
            match self.wire.read(buffer)? {
                None => return Ok(Progress::Waits),
                // Its client writes no more, but may still read.
                Some(0) if self.pending.is_some() => return Ok(Progress::Waits),
                Some(0) => return Ok(Progress::Done),
                Some(_) => {}
            }
        }
        Ok(Progress::HasMore)
    }
}

impl Shard {
    /// Whether WebSockets that have ended are still open.
    pub(crate) const fn has_closing_sockets(&self) -> bool {
        self.closing_sockets.len() > 0
    }

    /// Cuts WebSockets that have ended, those first for which most waits, until the memory has
    /// room: it is rather for clients that stay.
    pub(in crate::shard) fn relieve_closing_sockets(&mut self) {
        let common = self.common.clone();
        let limits = common.config.limits.load();
        let mut weights = self.closing_sockets.weights();
        while common.memory.is_tight(&limits)
            && let Some((_, key)) = weights.pop()
        {
            common.metrics.limit(Limit::MemoryBudget);
            self.closing_sockets.remove(key);
        }
    }
}

/// Names the socket with this key to the system. No connection has a token so high.
const fn token(key: usize) -> Token {
    Token(usize::MAX - key)
}

/// The key that a token names, if it is one of [`token`].
const fn key(token: Token) -> Option<usize> {
    let key = usize::MAX - token.0;
    if key <= usize::MAX >> 1 {
        Some(key)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net,
        os::{fd::OwnedFd, unix::net::UnixStream},
    };

    use bytes::Bytes;
    use mio::{Events, Poll};

    use super::*;

    /// More than a socket takes at once.
    const BYTES: usize = 1 << 20;

    /// A closing socket with so many bytes left, and its client's end.
    fn closing(
        sockets: &mut ClosingSockets,
        bytes: &Bytes,
        (poll, now): (&Poll, Instant),
    ) -> net::TcpStream {
        let (one, other) = UnixStream::pair().unwrap();
        let stream = |socket| net::TcpStream::from(OwnedFd::from(socket));
        let wire = Wire::open(stream(one), Token(2), poll.registry()).unwrap();
        let mut outbox = Outbox::new();
        outbox.keep(bytes.clone(), &sockets.ledger, now);
        sockets.add(wire, outbox, now, poll.registry());
        stream(other)
    }

    /// Takes the events that there are.
    fn events(sockets: &mut ClosingSockets, poll: &mut Poll) {
        let mut events = Events::with_capacity(1024);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        for event in &events {
            assert!(sockets.ready(event.token(), &mut [0; 64], poll.registry()));
        }
    }

    #[test]
    fn tokens_of_connections_are_none_of_closing_sockets() {
        assert_eq!(key(token(0)), Some(0));
        assert_eq!(key(token(70_000)), Some(70_000));
        for slot in [0, 1, u32::MAX as usize, usize::MAX >> 2] {
            assert_eq!(key(Token(slot << 1 | 1)), None);
        }
    }

    #[test]
    fn three_thousand_that_close_at_once_lose_nothing_and_leave_nothing() {
        rlimit::increase_nofile_limit(u64::MAX).unwrap();
        let (ledger, mut poll) = (Ledger::default(), Poll::new().unwrap());
        let (mut sockets, now) = (ClosingSockets::new(ledger.clone()), Instant::now());
        let bytes = ledger.share(vec![7; BYTES]);
        let clients: Vec<_> = (0..3000)
            .map(|_| closing(&mut sockets, &bytes, (&poll, now)))
            .collect();
        drop(bytes);
        assert_eq!(sockets.len(), 3000);
        assert!(ledger.bytes() >= BYTES + 3000 * CLOSING_BYTES);
        for mut client in clients {
            client.set_nonblocking(true).unwrap();
            let (mut buffer, mut read) = (vec![0; BYTES], 0);
            loop {
                match client.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => read += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        events(&mut sockets, &mut poll);
                    }
                    Err(error) => panic!("{error} after {read} bytes"),
                }
            }
            assert_eq!(read, BYTES);
        }
        while sockets.len() > 0 {
            events(&mut sockets, &mut poll);
        }
        assert_eq!(ledger.bytes(), 0);
    }

    #[test]
    fn whoever_does_not_read_is_closed_when_the_time_is_up() {
        let (ledger, mut poll) = (Ledger::default(), Poll::new().unwrap());
        let (mut sockets, now) = (ClosingSockets::new(ledger.clone()), Instant::now());
        let bytes = ledger.share(vec![7; BYTES]);
        let _client = closing(&mut sockets, &bytes, (&poll, now));
        drop(bytes);
        events(&mut sockets, &mut poll);
        let deadline = now + CLOSING_TIME;
        assert_eq!(sockets.next_deadline(), Some(deadline));
        sockets.expire(deadline - Duration::from_millis(1));
        assert_eq!(sockets.len(), 1);
        sockets.expire(deadline);
        assert_eq!((sockets.len(), sockets.next_deadline()), (0, None));
        assert_eq!(ledger.bytes(), 0);
    }
}
