//! Events that came from Redis and were not taken yet.
//!
//! This is the only queue between the sockets of Redis and the router. A connection reads its
//! socket and adds all that one read has brought, in one step; the router takes a batch and handles
//! it to its end before it takes another. The lists on both sides are the batches of one step and
//! are empty between two. When the backlog is full, connections stop reading, so that messages wait
//! in the sockets and then at Redis.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use atomic_waker::AtomicWaker;
use tokio::sync::Notify;
use womack_ledger::Ledger;
use womack_proto::subscriber::Event;

use super::metrics::SubscriberMetrics;

/// Events that came from Redis and were not taken yet: filled by connections, emptied by the
/// router.
pub(super) struct Backlog {
    events: Mutex<VecDeque<Event>>,
    taker: AtomicWaker,
    /// Of messages, with what it costs to keep them.
    bytes: AtomicUsize,
    most: usize,
    room: Notify,
    metrics: SubscriberMetrics,
    /// Charged with the same bytes.
    ledger: Ledger,
}

impl Backlog {
    /// Up to `most` bytes of messages are kept, which are charged to `ledger`.
    pub(super) fn new(most: usize, metrics: SubscriberMetrics, ledger: Ledger) -> Self {
        Self {
            events: Mutex::default(),
            taker: AtomicWaker::new(),
            bytes: AtomicUsize::new(0),
            most,
            room: Notify::new(),
            metrics,
            ledger,
        }
    }

    /// Adds events, in their order, and leaves the list empty.
    pub(super) fn add(&self, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let bytes: usize = events.iter().map(cost).sum();
        self.ledger.charge(bytes);
        // The length is counted first, so that it is never less than nothing.
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.note(before + bytes);
        if before < self.most && before + bytes >= self.most {
            self.metrics.backlog_filled.inc();
        }
        self.lock().extend(events.drain(..));
        self.taker.wake();
    }

    /// Adds one event.
    pub(super) fn add_one(&self, event: Event) {
        self.add(&mut vec![event]);
    }

    /// Waits for events, then moves up to `most` to the end of `batch`.
    pub(super) async fn take(&self, batch: &mut Vec<Event>, most: usize) {
        poll_fn(|context| {
            if self.try_take(batch, most) {
                return Poll::Ready(());
            }
            self.taker.register(context.waker());
            match self.try_take(batch, most) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn try_take(&self, batch: &mut Vec<Event>, most: usize) -> bool {
        let start = batch.len();
        {
            let mut events = self.lock();
            let count = events.len().min(most);
            batch.extend(events.drain(..count));
            // A burst's memory is given back.
            if events.is_empty() && events.capacity() > 4 * most {
                events.shrink_to(most);
            }
        }
        let bytes: usize = batch[start..].iter().map(cost).sum();
        self.ledger.release(bytes);
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if bytes > 0 {
            self.note(before - bytes);
        }
        if before >= self.most && before - bytes < self.most {
            self.room.notify_waiters();
        }
        batch.len() > start
    }

    /// Whether more may be read from Redis.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Acquire) < self.most
    }

    /// Done when more may be read.
    pub(super) async fn room(&self) {
        loop {
            let room = self.room.notified();
            if self.has_room() {
                return;
            }
            room.await;
        }
    }

    /// Whether nothing waits to be taken.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.load(Ordering::Acquire) == 0
    }

    fn note(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.backlog_bytes.set(bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeping an event costs, in bytes.
fn cost(event: &Event) -> usize {
    match event {
        Event::Message(message) => message.wire_bytes() + size_of::<Event>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use futures_util::FutureExt;

    use super::*;
    use crate::resp::{Decoder, Reply};

    fn message() -> Event {
        let mut bytes = BytesMut::from("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
        match Decoder::default().decode(&mut bytes, 9) {
            Ok(Some(Reply::Message(message))) => Event::Message(message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_full_backlog_has_room_again_when_something_was_taken() {
        let metrics = SubscriberMetrics::default();
        let backlog = Backlog::new(2 * cost(&message()), metrics.clone(), Ledger::default());
        backlog.add(&mut vec![message(), Event::Connected]);
        assert!(backlog.room().now_or_never().is_some());
        backlog.add_one(message());
        assert!(backlog.room().now_or_never().is_none());
        assert_eq!(metrics.backlog_filled.get(), 1);
        let filled = metrics.backlog_bytes.get();
        let mut batch = Vec::new();
        assert!(backlog.take(&mut batch, 2).now_or_never().is_some());
        assert!(matches!(batch[..], [Event::Message(_), Event::Connected]));
        assert!(backlog.room().now_or_never().is_some());
        assert_eq!(metrics.backlog_bytes.get() * 2, filled);
        assert!(backlog.take(&mut batch, 9).now_or_never().is_some());
        assert!(backlog.take(&mut batch, 9).now_or_never().is_none());
        assert!(backlog.is_empty());
    }
}
