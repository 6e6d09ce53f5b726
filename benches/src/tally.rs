//! What the clients saw: deliveries, reads, delays, and everything that should not have happened.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::message::Stamp;

/// Messages that may be under way at once; a power of two.
const WINDOW: u64 = 1 << 16;
/// Delays beyond a minute count as a minute.
const LONGEST_MICROS: u64 = 60_000_000;

/// The counters of one run, one per fleet.
pub struct Tally {
    began: Instant,
    /// How long each published payload is.
    pub payload_len: usize,
    /// Messages delivered to clients that count, each once.
    pub deliveries: u64,
    /// Reads that brought bytes.
    pub reads: u64,
    /// Damaged, repeated or unexpected messages, and gaps.
    pub wrong: u64,
    /// Clients that the server let go of.
    pub closed: u64,
    /// The only channel whose delays are noted, if not all are.
    pub watched: Option<u32>,
    /// Microseconds from publishing to reading, per delivery.
    pub delay: Histogram<u64>,
    /// Microseconds from publishing until the last client had read it, per message.
    pub last: Histogram<u64>,
    /// Messages that every subscriber has.
    pub completed: u64,
    /// Deliveries still to come, for each message under way.
    remaining: Vec<u32>,
}

impl Tally {
    /// Empty counters; the run begins now.
    #[must_use]
    pub fn new(payload_len: usize) -> Self {
        Self {
            began: Instant::now(),
            payload_len,
            deliveries: 0,
            reads: 0,
            wrong: 0,
            closed: 0,
            watched: None,
            delay: micros(),
            last: micros(),
            completed: 0,
            remaining: vec![0; WINDOW as usize],
        }
    }

    /// Nanoseconds since the run began.
    #[must_use]
    #[inline]
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Forgets the delays of warming up; what is counted goes on.
    pub fn forget_delays(&mut self) {
        self.delay.reset();
        self.last.reset();
    }

    /// Whether one more message may be under way beside those between `completed` and `number`.
    #[must_use]
    pub fn has_room(&self, number: u64) -> bool {
        number - self.completed < WINDOW
    }

    /// A message with this number goes out to so many clients.
    pub fn published(&mut self, number: u64, subscribers: u32) {
        self.remaining[(number % WINDOW) as usize] = subscribers;
        if subscribers == 0 {
            self.completed += 1;
        }
    }

    /// A client has read the message, in its place.
    #[inline]
    pub fn delivered(&mut self, stamp: &Stamp, now: u64) {
        let delay = now.saturating_sub(stamp.nanos) / 1_000;
        self.deliveries += 1;
        if self.watched.is_none_or(|channel| channel == stamp.channel) {
            self.delay.saturating_record(delay);
        }
        let remaining = &mut self.remaining[(stamp.number % WINDOW) as usize];
        *remaining = remaining.saturating_sub(1);
        if *remaining == 0 {
            self.completed += 1;
            self.last.saturating_record(delay);
        }
    }
}

fn micros() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("the bounds are constants in order")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_complete_with_its_last_client() {
        let mut tally = Tally::new(128);
        tally.published(0, 2);
        let stamp = Stamp {
            channel: 0,
            number: 0,
            sequence: 0,
            nanos: 0,
        };
        tally.delivered(&stamp, 5_000);
        assert_eq!((tally.deliveries, tally.completed), (1, 0));
        tally.delivered(&stamp, 9_000);
        assert_eq!((tally.deliveries, tally.completed), (2, 1));
        assert_eq!((tally.delay.max(), tally.last.max()), (9, 9));
    }
}
