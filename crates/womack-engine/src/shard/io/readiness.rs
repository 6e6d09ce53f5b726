//! Readiness of sockets, as the system reports it to a shard.
//!
//! All WebSockets of a shard are in one poll of its own, and that poll is one entry in the
//! runtime's. An idle client therefore has no task, no waker and no buffer.

use std::io;

use mio::Events;

use super::{
    nested_poll::NestedPoll, socket_event::SocketEvent, socket_id::SocketId, sockets::Sockets,
};

/// Events taken at one go, between which other tasks of the shard run.
const EVENTS: usize = 1024;

/// The poll of a shard's WebSockets.
pub struct Readiness {
    poll: NestedPoll,
    events: Events,
}

impl Readiness {
    /// A poll without sockets.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poll: NestedPoll::new()?,
            events: Events::with_capacity(EVENTS),
        })
    }

    /// Sockets that are registered here.
    ///
    /// # Errors
    /// The system's.
    pub fn sockets(&self) -> io::Result<Sockets> {
        let registry = self.poll.registry().try_clone()?;
        Ok(Sockets::watched_by(registry))
    }

    /// Waits until sockets are ready. The events are then in [`Readiness::events`].
    ///
    /// # Errors
    /// The system's.
    pub async fn wait(&mut self) -> io::Result<()> {
        self.poll.wait(&mut self.events).await
    }

    /// Takes the sockets that are ready, without waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn look(&mut self) -> io::Result<()> {
        self.poll.look(&mut self.events)
    }

    /// The sockets that are ready.
    pub fn events(&self) -> impl Iterator<Item = SocketEvent> {
        self.events.iter().map(|event| SocketEvent {
            socket: SocketId::of(event.token()),
            is_readable: event.is_readable(),
            is_writable: event.is_writable(),
            ends: event.is_read_closed() || event.is_error(),
        })
    }
}
