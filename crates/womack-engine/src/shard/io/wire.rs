//! A stream that carries a WebSocket: the only way out to one.

use std::{
    io::{self, Read, Write},
    net::{self, Shutdown},
    os::fd::AsFd,
    time::Instant,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use womack_ledger::Slot;

#[cfg(any(test, feature = "simulation"))]
use super::memory::MemorySocket;
use super::{
    ring::Job,
    websocket::{Decoder, Inbound, Partial},
};
use crate::session_request::{ClientSocket, SocketSlots};

/// A socket as it comes to a shard, whose poll does not know it yet.
pub enum Socket {
    /// One of the system's.
    System(ClientSocket),
    /// One in memory.
    #[cfg(any(test, feature = "simulation"))]
    Memory(MemorySocket),
}

impl From<net::TcpStream> for Socket {
    fn from(stream: net::TcpStream) -> Self {
        Self::System(ClientSocket {
            stream,
            slots: SocketSlots::default(),
        })
    }
}

impl From<ClientSocket> for Socket {
    fn from(socket: ClientSocket) -> Self {
        Self::System(socket)
    }
}

/// A WebSocket's stream, registered with its shard's poll for as long as it lives.
pub(crate) struct Wire {
    stream: Stream,
    /// The decoder's state while a message is incomplete.
    partial: Option<Box<Partial>>,
    /// Counts the socket until it is closed.
    _slot: Option<Slot>,
}

enum Stream {
    System(TcpStream),
    #[cfg(any(test, feature = "simulation"))]
    Memory(MemorySocket),
}

impl Wire {
    /// Takes `socket`; its events carry `token`.
    ///
    /// # Errors
    /// The system's, or there is no poll for a socket of the system.
    pub(super) fn open(
        socket: Socket,
        token: Token,
        registry: Option<&Registry>,
    ) -> io::Result<Self> {
        let (stream, slot) = match socket {
            Socket::System(ClientSocket { stream, slots }) => {
                stream.set_nonblocking(true)?;
                let mut stream = TcpStream::from_std(stream);
                let registry = registry.ok_or(io::ErrorKind::NotConnected)?;
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                (Stream::System(stream), slots.descriptor)
            }
            #[cfg(any(test, feature = "simulation"))]
            Socket::Memory(socket) => {
                socket.register(token);
                (Stream::Memory(socket), None)
            }
        };
        Ok(Self {
            stream,
            partial: None,
            _slot: slot,
        })
    }

    /// Changes the token of the stream's events, which begin anew.
    ///
    /// # Errors
    /// The system's, or there is no poll for a socket of the system.
    pub(super) fn register_anew(
        &mut self,
        token: Token,
        registry: Option<&Registry>,
    ) -> io::Result<()> {
        match &mut self.stream {
            Stream::System(stream) => {
                let registry = registry.ok_or(io::ErrorKind::NotConnected)?;
                registry.reregister(stream, token, Interest::READABLE | Interest::WRITABLE)
            }
            #[cfg(any(test, feature = "simulation"))]
            Stream::Memory(socket) => {
                socket.register(token);
                Ok(())
            }
        }
    }

    /// Reads once; `None` when there is nothing now, zero at the end of the stream.
    ///
    /// # Errors
    /// The socket's.
    pub(in crate::shard) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let read = match &mut self.stream {
                Stream::System(stream) => stream.read(buffer),
                #[cfg(any(test, feature = "simulation"))]
                Stream::Memory(socket) => (&*socket).read(buffer),
            };
            match read {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Decodes `bytes`, which came in on this stream at `now`.
    pub(super) fn decode(
        &mut self,
        decoder: &mut Decoder,
        bytes: &[u8],
        now: Instant,
        inbound: &mut Vec<Inbound>,
    ) {
        decoder.decode(&mut self.partial, bytes, now, inbound);
    }

    /// Gives up a message that is incomplete.
    pub(in crate::shard) fn forget_partial(&mut self) {
        self.partial = None;
    }

    /// Bytes of a message that is incomplete, and of what decodes it.
    pub(in crate::shard) fn partial_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.bytes())
    }

    /// When a message that is incomplete has to be complete.
    pub(in crate::shard) fn message_deadline(&self) -> Option<Instant> {
        self.partial.as_ref().map(|partial| partial.deadline())
    }

    /// Says that nothing more will be written.
    pub(in crate::shard) fn finish(&self) {
        match &self.stream {
            // A stream that is broken already has nothing to finish.
            Stream::System(stream) => drop(stream.shutdown(Shutdown::Write)),
            #[cfg(any(test, feature = "simulation"))]
            Stream::Memory(socket) => socket.finish(),
        }
    }

    /// The job for a ring to send on this stream; `None` if a ring cannot.
    pub(in crate::shard) fn job<'a>(&'a self, bytes: &'a [u8]) -> Option<Job<'a>> {
        match &self.stream {
            Stream::System(stream) => Some(Job {
                socket: stream.as_fd(),
                bytes,
            }),
            #[cfg(any(test, feature = "simulation"))]
            Stream::Memory(_) => None,
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::System(stream) => stream.write(bytes),
            #[cfg(any(test, feature = "simulation"))]
            Stream::Memory(socket) => (&*socket).write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::System(stream) => stream.write_vectored(slices),
            #[cfg(any(test, feature = "simulation"))]
            Stream::Memory(socket) => (&*socket).write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
