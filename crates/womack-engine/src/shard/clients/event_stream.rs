//! The shard's side of an event stream.

use std::rc::Rc;

use tokio::sync::oneshot;
use womack_proto::Plain;

use super::event_queue::EventQueue;

/// A client that takes an event stream, as its shard knows it.
pub(crate) struct EventStream {
    plain: Plain,
    queue: Rc<EventQueue>,
    /// Told whether the channels are live, once that is known.
    opening: Option<oneshot::Sender<bool>>,
    /// The last batch of commands that had something for the client.
    batch: u64,
}

impl EventStream {
    /// A client that takes what is put into `queue`, and begins to once `opening` says so.
    pub(in crate::shard) fn open(
        queue: Rc<EventQueue>,
        opening: oneshot::Sender<bool>,
        batch: u64,
        plain: Plain,
    ) -> Self {
        Self {
            plain,
            queue,
            opening: Some(opening),
            batch,
        }
    }

    /// Whether this is the first that there is for the client in this batch of commands. It is
    /// written to by a task of its own, whose turn comes between two batches: only what is left
    /// then says whether it reads too slowly.
    pub(in crate::shard) const fn begins(&mut self, batch: u64) -> bool {
        std::mem::replace(&mut self.batch, batch) != batch
    }

    /// The channels that it was opened for are live, or will not be in time.
    pub(in crate::shard) fn begin(&mut self, is_live: bool) {
        if let Some(opening) = self.opening.take() {
            // Nobody listens any more when the client has just gone.
            opening.send(is_live).ok();
        }
    }

    /// Whether the client lives.
    pub(super) const fn plain(&self) -> &Plain {
        &self.plain
    }

    pub(super) const fn plain_mut(&mut self) -> &mut Plain {
        &mut self.plain
    }

    /// The bytes that wait for the client.
    pub(in crate::shard) fn queue(&self) -> &EventQueue {
        &self.queue
    }
}
