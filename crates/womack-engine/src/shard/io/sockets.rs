//! The sockets that a shard's poll watches.

use std::io;

use super::{
    socket_id::SocketId,
    wire::{Socket, Wire},
};

/// Makes wires of sockets, of which the shard's poll tells when they are ready.
pub struct Sockets {
    /// `None` where all sockets are in memory.
    poll: Option<mio::Registry>,
}

impl Sockets {
    /// Sockets that the poll of `registry` watches.
    pub(in crate::shard) const fn watched_by(registry: mio::Registry) -> Self {
        Self {
            poll: Some(registry),
        }
    }

    /// Sockets in memory, which nobody watches.
    #[cfg(any(test, feature = "simulation"))]
    #[must_use]
    pub const fn in_memory() -> Self {
        Self { poll: None }
    }

    /// Makes a wire of `socket`, whose events say `id`.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::shard) fn open(&self, socket: Socket, id: SocketId) -> io::Result<Wire> {
        Wire::open(socket, id.token(), self.poll.as_ref())
    }

    /// Changes what the events of `wire` say; those that there are begin anew.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::shard) fn rename(&self, wire: &mut Wire, id: SocketId) -> io::Result<()> {
        wire.register_anew(id.token(), self.poll.as_ref())
    }
}
