//! What the benchmarks measure of the delivery path; no part of the interface.

use crate::{
    queue,
    shard::{Outbox, Round},
    sid::ConnectionId,
};

/// A round and its clients, without sockets.
pub struct FanOut {
    round: Round,
    outboxes: Vec<Outbox>,
}

impl FanOut {
    /// A fan-out to `clients` clients.
    pub fn new(clients: usize) -> Self {
        Self {
            round: Round::new(&womack_ledger::Ledger::default()),
            outboxes: (0..clients).map(|_| Outbox::new()).collect(),
        }
    }

    /// Appends `frame` once, and a span of it to each client.
    pub fn append(&mut self, frame: &[u8]) {
        let span = self.round.append(frame);
        for (id, outbox) in (0..).map(ConnectionId).zip(&mut self.outboxes) {
            self.round.add(id, outbox, span);
        }
    }

    /// Takes each client's spans, as a flush does, and ends the round. Returns how many.
    pub fn finish(&mut self) -> usize {
        let dirty = self.round.take_dirty();
        let (mut spans, mut count) = (Default::default(), 0);
        for &id in &dirty {
            self.round.take(&mut self.outboxes[id.index()], &mut spans);
            count += spans.len();
        }
        self.round.finish(dirty);
        count
    }
}

/// One queue between threads, used from one.
pub struct HandOver<T> {
    sender: queue::Sender<T>,
    receiver: queue::Receiver<T>,
    batch: Vec<T>,
}

impl<T> HandOver<T> {
    /// A queue for `capacity` values.
    pub fn new(capacity: usize) -> Self {
        let (sender, receiver) = queue(capacity);
        Self {
            sender,
            receiver,
            batch: Vec::new(),
        }
    }

    /// Hands a burst of values over and wakes once. Returns how many came out.
    pub async fn burst(&mut self, values: impl Iterator<Item = T>) -> usize {
        let mut count = 0;
        for value in values {
            count += usize::from(self.sender.push(value).is_ok());
        }
        self.sender.wake();
        self.batch.clear();
        self.receiver.receive(&mut self.batch, count).await;
        self.batch.len()
    }
}
