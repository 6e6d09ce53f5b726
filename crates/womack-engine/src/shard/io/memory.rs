//! A socket in memory, for tests and for the simulation: what a client reads and writes without a
//! system.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read, Write},
    rc::Rc,
};

use mio::Token;

use super::{socket_event::SocketEvent, socket_id::SocketId};

/// Both ends of a socket in memory.
#[derive(Clone, Default)]
pub struct MemorySocket(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// Bytes that the client has written and the shard has not read.
    incoming: VecDeque<u8>,
    /// Bytes that the shard has written and the client has not taken.
    outgoing: Vec<u8>, // bounded: by its room, in simulations
    /// How many bytes the socket takes before it is full.
    room: usize,
    /// Whether the shard writes no more.
    is_finished: bool,
    /// Whether the client has gone.
    is_closed: bool,
    /// By which the shard's poll would know it.
    token: Option<Token>,
}

impl MemorySocket {
    /// A socket that takes so many bytes before its client must read.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        let socket = Self::default();
        socket.0.borrow_mut().room = room;
        socket
    }

    /// The client writes.
    pub fn push(&self, bytes: &[u8]) {
        self.0.borrow_mut().incoming.extend(bytes);
    }

    /// The client reads all that there is, and so makes room for as much.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        let state = &mut *self.0.borrow_mut();
        state.room += state.outgoing.len();
        std::mem::take(&mut state.outgoing)
    }

    /// Whether the shard has ended the stream.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.borrow().is_finished
    }

    /// The client goes: the shard reads the end, and what it writes fails.
    pub fn close(&self) {
        self.0.borrow_mut().is_closed = true;
    }

    /// The event that a poll would report for this socket now; `None` if no shard has the socket.
    #[must_use]
    pub fn event(&self) -> Option<SocketEvent> {
        let state = self.0.borrow();
        state.token.map(|token| SocketEvent {
            socket: SocketId::of(token),
            is_readable: !state.incoming.is_empty() || state.is_closed,
            is_writable: state.room > 0 || state.is_closed,
            ends: state.is_closed,
        })
    }

    pub(super) fn register(&self, token: Token) {
        self.0.borrow_mut().token = Some(token);
    }

    pub(in crate::shard) fn finish(&self) {
        self.0.borrow_mut().is_finished = true;
    }
}

impl Read for &MemorySocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        if state.incoming.is_empty() && state.is_closed {
            return Ok(0);
        }
        if state.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.incoming.read(buffer)
    }
}

impl Write for &MemorySocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        if state.is_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(state.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.room -= count;
        state.outgoing.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
