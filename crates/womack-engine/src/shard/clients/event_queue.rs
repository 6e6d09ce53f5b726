//! What waits for the client of an event stream: filled by the shard, emptied by the answer's body.
//!
//! Both are on one thread, in two tasks.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::Notify;
use womack_ledger::{Ledger, Limit};

use crate::shard::delivery::pending::{Fate, Pending, Room, Thinned};

/// What waits for the client of an event stream.
pub struct EventQueue {
    pending: RefCell<Pending>,
    ended: Cell<bool>,
    /// The body, when it waits for more.
    waker: Cell<Option<Waker>>,
    /// Told when the HTTP connection is to be broken off.
    cut: Rc<Notify>,
}

impl EventQueue {
    /// `cut` breaks the HTTP connection off.
    pub(crate) fn new(cut: Rc<Notify>, ledger: &Ledger) -> Self {
        Self {
            pending: RefCell::new(Pending::new(ledger)),
            ended: Cell::new(false),
            waker: Cell::new(None),
            cut,
        }
    }

    /// Adds bytes; whether they replace others.
    pub(crate) fn keep(&self, bytes: Bytes, fate: Fate, now: Instant) -> bool {
        let replaced = self.pending.borrow_mut().push(bytes, fate, now);
        self.wake();
        replaced
    }

    /// As [`Pending::thin`].
    pub(crate) fn thin(&self, room: &Room, now: Instant) -> (Thinned, Option<Limit>) {
        self.pending.borrow_mut().thin(room, now)
    }

    /// As `Pending::expire`.
    pub fn expire(&self, now: Instant) -> u64 {
        self.pending.borrow_mut().expire(now)
    }

    /// As [`Pending::oldest`].
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.pending.borrow().oldest()
    }

    /// Nothing follows what waits.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.wake();
    }

    /// Nothing follows, and what waits is not for the client any more.
    pub(crate) fn cut(&self) {
        self.end();
        self.cut.notify_one();
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.pending.borrow().len()
    }

    /// Takes up to `most` bytes from the beginning; `None` at the end.
    pub fn poll_take(&self, context: &Context<'_>, most: usize) -> Poll<Option<Bytes>> {
        if let Some(bytes) = self.pending.borrow_mut().take(most) {
            return Poll::Ready(Some(bytes));
        }
        if self.ended.get() {
            return Poll::Ready(None);
        }
        self.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_pieces_and_then_the_end() {
        let queue = EventQueue::new(Rc::new(Notify::new()), &Ledger::default());
        let context = Context::from_waker(Waker::noop());
        assert!(queue.poll_take(&context, 4).is_pending());
        for bytes in ["abcdef", "gh"] {
            queue.keep(bytes.into(), Fate::Kept, Instant::now());
        }
        queue.end();
        assert_eq!(queue.bytes(), 8);
        for piece in [Some("abcd"), Some("ef"), Some("gh"), None, None] {
            let piece = piece.map(|piece| Bytes::from_static(piece.as_bytes()));
            assert_eq!(queue.poll_take(&context, 4), Poll::Ready(piece));
        }
        assert_eq!(queue.bytes(), 0);
    }
}
