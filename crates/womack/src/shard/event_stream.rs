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
    /// Whether the client reads too slowly: whether more than `most` of what it had before this
    /// batch of commands is still there, which was `before`. It is written to by a task of its own,
    /// whose turn comes between two batches.
    pub(crate) fn is_slow(&mut self, before: usize, most: usize, batch: u64) -> bool {
        let is_first = std::mem::replace(&mut self.batch, batch) != batch;
        is_first && before > most
    }
}
