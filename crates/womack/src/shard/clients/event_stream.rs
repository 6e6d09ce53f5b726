//! The shard's side of an event stream.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::event_queue::EventQueue;

/// What a shard knows of a client that takes an event stream.
pub(crate) struct EventStream {
    pub(crate) queue: Rc<EventQueue>,
    /// Told whether the channels are live, once that is known.
    pub(crate) opening: Option<oneshot::Sender<bool>>,
    /// The last batch of commands that had something for the client.
    pub(crate) batch: u64,
}

impl EventStream {
    /// Whether this is the first that there is for the client in this batch of commands. It is
    /// written to by a task of its own, whose turn comes between two batches: only what is left
    /// then says whether it reads too slowly.
    pub(crate) const fn begins(&mut self, batch: u64) -> bool {
        std::mem::replace(&mut self.batch, batch) != batch
    }
}
