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

use slab::Slab;
use womack_ledger::{CLOSING_BYTES, Charge, Ledger};

use super::{pending::Pending, round::Outbox};
use crate::{
    shard::io::{ingress::READS_AT_ONCE, socket_id::SocketId, sockets::Sockets, wire::Wire},
    timeout_queue::{Ticket, TimeoutQueue},
};

/// How long a connection that the server has ended stays open for its client to read the end.
pub const CLOSING_TIME: Duration = Duration::from_secs(2);

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
    pub(crate) fn add(&mut self, wire: Wire, outbox: Outbox, now: Instant, known: &Sockets) {
        let entry = self.tickets.vacant_entry();
        let key = entry.key();
        let mut socket = ClosingSocket {
            wire,
            pending: outbox.into_pending(),
            key,
            _charge: self.ledger.hold(CLOSING_BYTES),
        };
        socket.wire.forget_partial();
        // Its events begin anew with the name, so what came before is told again.
        let written = socket.write();
        let told = written.and_then(|()| known.rename(&mut socket.wire, SocketId::Closing(key)));
        if told.is_ok() {
            entry.insert(self.sockets.push(socket, now));
        }
    }

    /// Takes a WebSocket that ends with what its socket takes of the outbox now.
    pub(crate) fn cut(&mut self, mut wire: Wire, outbox: Outbox, now: Instant, known: &Sockets) {
        if let Some(mut pending) = outbox.into_pending() {
            // Whether it is written or not, this is the end.
            pending.write_to(&mut wire).ok();
        }
        self.add(wire, Outbox::new(), now, known);
    }

    /// The socket with this key is ready. The bytes read into `buffer` are discarded.
    pub(crate) fn ready(&mut self, key: usize, buffer: &mut [u8], known: &Sockets) {
        // An event that was for an earlier one in the same place finds nothing to do.
        let ticket = self.tickets.get(key);
        let Some(socket) = ticket.and_then(|ticket| self.sockets.get_mut(*ticket)) else {
            return;
        };
        match socket.advance(buffer) {
            Ok(Progress::Waits) => {}
            // The socket tells of it again under its name, even if that is the same.
            Ok(Progress::HasMore) => {
                // A socket without further events ends at its deadline.
                known.rename(&mut socket.wire, SocketId::Closing(key)).ok();
            }
            Ok(Progress::Done) | Err(_) => self.remove(key),
        }
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

    /// Cuts those first for which most waits, for as long as `is_tight` says that there is too
    /// little memory, and tells `cut` of each.
    pub(crate) fn relieve(&mut self, is_tight: impl Fn() -> bool, mut cut: impl FnMut()) {
        let mut weights = self.weights();
        while is_tight()
            && let Some((_, key)) = weights.pop()
        {
            cut();
            self.remove(key);
        }
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
    use crate::sid::ConnectionId;

    /// More than a socket takes at once.
    const BYTES: usize = 1 << 20;

    /// A closing socket with so many bytes left, and its client's end.
    fn closing(
        sockets: &mut ClosingSockets,
        bytes: &Bytes,
        known: &Sockets,
        now: Instant,
    ) -> net::TcpStream {
        let (one, other) = UnixStream::pair().unwrap();
        let stream = |socket| net::TcpStream::from(OwnedFd::from(socket));
        let id = SocketId::Client(ConnectionId(1));
        let wire = known.open(stream(one).into(), id).unwrap();
        let mut outbox = Outbox::new();
        outbox.keep(bytes.clone(), &sockets.ledger, now);
        sockets.add(wire, outbox, now, known);
        stream(other)
    }

    /// Takes the events that there are.
    fn events(sockets: &mut ClosingSockets, poll: &mut Poll, known: &Sockets) {
        let mut events = Events::with_capacity(1024);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        for event in &events {
            let SocketId::Closing(key) = SocketId::of(event.token()) else {
                panic!("{event:?}");
            };
            sockets.ready(key, &mut [0; 64], known);
        }
    }

    #[test]
    fn three_thousand_that_close_at_once_lose_nothing_and_leave_nothing() {
        rlimit::increase_nofile_limit(u64::MAX).unwrap();
        let (ledger, mut poll) = (Ledger::default(), Poll::new().unwrap());
        let known = Sockets::watched_by(poll.registry().try_clone().unwrap());
        let (mut sockets, now) = (ClosingSockets::new(ledger.clone()), Instant::now());
        let bytes = ledger.share(vec![7; BYTES]);
        let clients: Vec<_> = (0..3000)
            .map(|_| closing(&mut sockets, &bytes, &known, now))
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
                        events(&mut sockets, &mut poll, &known);
                    }
                    Err(error) => panic!("{error} after {read} bytes"),
                }
            }
            assert_eq!(read, BYTES);
        }
        while sockets.len() > 0 {
            events(&mut sockets, &mut poll, &known);
        }
        assert_eq!(ledger.bytes(), 0);
    }

    #[test]
    fn whoever_does_not_read_is_closed_when_the_time_is_up() {
        let (ledger, mut poll) = (Ledger::default(), Poll::new().unwrap());
        let known = Sockets::watched_by(poll.registry().try_clone().unwrap());
        let (mut sockets, now) = (ClosingSockets::new(ledger.clone()), Instant::now());
        let bytes = ledger.share(vec![7; BYTES]);
        let _client = closing(&mut sockets, &bytes, &known, now);
        drop(bytes);
        events(&mut sockets, &mut poll, &known);
        let deadline = now + CLOSING_TIME;
        assert_eq!(sockets.next_deadline(), Some(deadline));
        sockets.expire(deadline - Duration::from_millis(1));
        assert_eq!(sockets.len(), 1);
        sockets.expire(deadline);
        assert_eq!((sockets.len(), sockets.next_deadline()), (0, None));
        assert_eq!(ledger.bytes(), 0);
    }
}
