//! A TCP stream that carries a WebSocket: the only way out to one.

use std::{
    io::{self, Read, Write},
    net::{self, Shutdown},
    os::fd::{AsFd, BorrowedFd},
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::websocket::Partial;

/// A WebSocket's stream, registered with its shard's poll for as long as it lives.
pub(crate) struct Wire {
    stream: TcpStream,
    /// The decoder's state while a message is incomplete.
    pub(crate) partial: Option<Box<Partial>>,
}

impl Wire {
    /// Takes `stream`; its events carry `token`.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(
        stream: net::TcpStream,
        token: Token,
        registry: &Registry,
    ) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            partial: None,
        })
    }

    /// Changes the token of the stream's events.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn rename(&mut self, token: Token, registry: &Registry) -> io::Result<()> {
        registry.reregister(
            &mut self.stream,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Reads once; `None` when there is nothing now, zero at the end of the stream.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(buffer) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&self) {
        // A stream that is broken already has nothing to finish.
        self.stream.shutdown(Shutdown::Write).ok();
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
