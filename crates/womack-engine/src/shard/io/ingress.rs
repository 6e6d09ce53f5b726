//! Input from a shard's WebSockets.

use std::time::{Duration, Instant};

use womack_ledger::Ledger;

use super::{socket_id::SocketId, wire::Wire};
use crate::shard::io::websocket::{Decoder, Inbound};

/// Bytes that are read from a socket at one go.
const READ_BYTES: usize = 64 * 1024;
/// Reads from one socket before others have their turn.
pub(in crate::shard) const READS_AT_ONCE: usize = 4;
/// Bytes that are read from all sockets before messages have their turn.
const TURN_BYTES: usize = 1 << 20;

/// Reads and decodes what comes in. All sockets of a shard share its buffers.
pub(in crate::shard) struct Ingress {
    decoder: Decoder,
    buffer: Box<[u8]>,
    /// Lent to whoever reads, and empty otherwise.
    inbound: Vec<Inbound>,
    /// Sockets that have more than was read at one go.
    unread: Vec<SocketId>,
    /// Bytes that were read in this turn.
    read: usize,
}

/// How far a socket was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::shard) enum Progress {
    /// It is empty, and tells when it is not.
    Empty,
    /// There may be more.
    More,
    /// Nothing will come any more.
    Ended,
    /// It has failed.
    Broken,
}

impl Ingress {
    /// A message may have `max_payload_bytes`, and `message_timeout` from its first byte to its
    /// last. Those that are incomplete are charged to `ledger`.
    pub(in crate::shard) fn new(
        max_payload_bytes: usize,
        message_timeout: Duration,
        ledger: &Ledger,
    ) -> Self {
        Self {
            decoder: Decoder::new(max_payload_bytes, message_timeout, ledger),
            buffer: vec![0; READ_BYTES].into(),
            inbound: Vec::new(),
            unread: Vec::new(),
            read: 0,
        }
    }

    /// A turn begins.
    pub(in crate::shard) const fn begin_turn(&mut self) {
        self.read = 0;
    }

    /// Whether messages are to have their turn before more is read.
    pub(in crate::shard) const fn has_read_enough(&self) -> bool {
        self.read >= TURN_BYTES
    }

    /// Lends a buffer for what comes in; it is to be given back.
    pub(in crate::shard) fn lend(&mut self) -> Vec<Inbound> {
        std::mem::take(&mut self.inbound)
    }

    /// Takes the buffer back.
    pub(in crate::shard) fn give_back(&mut self, mut inbound: Vec<Inbound>) {
        inbound.clear();
        self.inbound = inbound;
    }

    /// Reads once from `wire`, to its end if that is known to be there.
    pub(in crate::shard) fn read(
        &mut self,
        wire: &mut Wire,
        to_end: bool,
        now: Instant,
        inbound: &mut Vec<Inbound>,
    ) -> Progress {
        match wire.read(&mut self.buffer) {
            Ok(None) => Progress::Empty,
            Ok(Some(0)) => Progress::Ended,
            Ok(Some(count)) => {
                self.read += count;
                wire.decode(&mut self.decoder, &self.buffer[..count], now, inbound);
                // Less than there was room for: the socket is empty, and tells when it is not.
                match count < READ_BYTES && !to_end {
                    true => Progress::Empty,
                    false => Progress::More,
                }
            }
            Err(_) => Progress::Broken,
        }
    }

    /// Decodes bytes that were read from `wire` before it came to the shard.
    pub(in crate::shard) fn decode(
        &mut self,
        wire: &mut Wire,
        bytes: &[u8],
        now: Instant,
        inbound: &mut Vec<Inbound>,
    ) {
        wire.decode(&mut self.decoder, bytes, now, inbound);
    }

    /// A buffer for bytes that nobody looks at.
    pub(in crate::shard) fn scratch(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Leaves the rest of what a socket has for later: it does not tell of it again.
    pub(in crate::shard) fn postpone(&mut self, socket: SocketId) {
        self.unread.push(socket);
    }

    /// Whether sockets have more than was read at one go.
    pub(in crate::shard) const fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// The sockets that have more than was read at one go.
    pub(in crate::shard) fn take_unread(&mut self) -> Vec<SocketId> {
        std::mem::take(&mut self.unread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::io::{memory::MemorySocket, sockets::Sockets, wire::Socket};

    #[test]
    fn a_socket_that_brings_less_than_there_is_room_for_is_empty() {
        let mut ingress = Ingress::new(1000, Duration::from_secs(10), &Ledger::default());
        let (socket, mut inbound) = (MemorySocket::default(), ingress.lend());
        let wire = Sockets::in_memory().open(Socket::Memory(socket.clone()), SocketId::Nobody);
        let mut wire = wire.unwrap();
        let mut read = |to_end| ingress.read(&mut wire, to_end, Instant::now(), &mut inbound);
        assert_eq!(read(false), Progress::Empty);
        // Pings with a mask, which is zero.
        let ping = [0x89, 0x80, 0, 0, 0, 0];
        socket.push(&ping);
        assert_eq!(read(false), Progress::Empty);
        socket.push(&ping);
        assert_eq!(read(true), Progress::More, "the end is still to be read");
        socket.push(&ping.repeat(READ_BYTES));
        assert_eq!(read(false), Progress::More);
        assert!(matches!(&inbound[0], Inbound::Reply(pong) if **pong == [0x8a, 0]));
    }
}
