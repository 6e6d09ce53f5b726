//! A poll of its own that the runtime watches as one entry.
//!
//! Why: a task, a waker and a registration in the runtime for each of a hundred thousand idle
//! WebSockets cost ten times what the rest of them costs; one poll for all costs nothing per
//! client. The runtime's way to watch a foreign descriptor, [`AsyncFd::register`], is unsafe since
//! it cannot know that the descriptor stays open and the same.
//!
//! How it was checked: the descriptor is that of the [`Poll`], which [`NestedPoll`] owns and hands
//! out only by reference. A `Poll` opens its descriptor when it is made, never exchanges it, and
//! closes it when it is dropped, which the `AsyncFd` does after it has given up its registration.
//! `mem::replace` through the mutable reference could exchange the `Poll`; it never leaves this
//! file. `make sanitize` has AddressSanitizer watch it under random clients.

#![expect(unsafe_code, reason = "see above")]

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

use mio::{Events, Poll, Registry};
use tokio::io::{Interest, unix::AsyncFd};

/// A poll that can be waited for without blocking the thread.
pub(in crate::shard) struct NestedPoll {
    poll: AsyncFd<Descriptor>,
}

struct Descriptor(Poll);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl NestedPoll {
    /// # Errors
    /// The system's.
    pub(in crate::shard) fn new() -> io::Result<Self> {
        let descriptor = Descriptor(Poll::new()?);
        // SAFETY: the descriptor is open, owned by the value that is passed, and stays the same
        // until that is dropped; see the head of this file.
        let poll = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
        Ok(Self { poll })
    }

    pub(in crate::shard) fn registry(&self) -> &Registry {
        self.poll.get_ref().0.registry()
    }

    /// Waits until something is ready, and takes it.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::shard) async fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        loop {
            let mut ready = self.poll.readable_mut().await?;
            take(&mut ready.get_inner_mut().0, events)?;
            if !events.is_empty() {
                return Ok(());
            }
            ready.clear_ready();
        }
    }

    /// Takes what is ready, without waiting.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::shard) fn look(&mut self, events: &mut Events) -> io::Result<()> {
        take(&mut self.poll.get_mut().0, events)
    }
}

fn take(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
    match poll.poll(events, Some(Duration::ZERO)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        taken => taken,
    }
}
