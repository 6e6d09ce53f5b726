//! How long clients stay connected, where that is limited.
//!
//! After a node was added, or was restarted, the others have its share of clients for as long as
//! these stay. A greatest age lets the nodes come even. Ages differ by up to a tenth, so that
//! clients that came together do not come again together.

use std::time::{Duration, Instant};

use super::wheel::Wheel;
use crate::sid::ConnectionId;

/// When clients have reached their greatest age. Costs nothing where there is none.
pub(super) struct Ages {
    limited: Option<Limited>,
}

struct Limited {
    age: Duration,
    wheel: Wheel,
    /// By connection; the wheel itself looks only half a minute ahead.
    ends: Vec<Instant>,
}

impl Ages {
    pub(super) fn new(age: Option<Duration>, now: Instant) -> Self {
        let limited = age.map(|age| Limited {
            age,
            wheel: Wheel::new(now),
            ends: Vec::new(),
        });
        Self { limited }
    }

    /// A client has come, whose `chance` is a random number. Returns when it is to go.
    pub(super) fn begin(&mut self, id: ConnectionId, chance: u64, now: Instant) -> Option<Instant> {
        let limited = self.limited.as_mut()?;
        let chance = chance as f64 / u64::MAX as f64;
        let end = now + limited.age.mul_f64(0.9 + chance / 5.0);
        limited.set(id, end);
        Some(end)
    }

    /// A client has gone.
    pub(super) fn end(&mut self, id: ConnectionId) {
        if let Some(limited) = &mut self.limited {
            limited.wheel.cancel(id);
        }
    }

    /// When the next client may have to go.
    pub(super) fn next(&self) -> Option<Instant> {
        self.limited.as_ref()?.wheel.next()
    }

    /// The clients that have to go.
    pub(super) fn due(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        if let Some(limited) = &mut self.limited {
            limited.wheel.turn(now, &mut due);
            due.retain(|&id| {
                let end = limited.ends[id.index()];
                if end > now {
                    limited.wheel.set(id, end);
                }
                end <= now
            });
        }
        due
    }
}

impl Limited {
    fn set(&mut self, id: ConnectionId, end: Instant) {
        let at = id.index();
        if self.ends.len() <= at {
            self.ends.resize(at + 1, end);
        }
        self.ends[at] = end;
        self.wheel.set(id, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(100);

    #[test]
    fn ages_differ_by_up_to_a_tenth() {
        let now = Instant::now();
        let mut ages = Ages::new(Some(AGE), now);
        let ends = [0, u64::MAX].map(|chance| ages.begin(ConnectionId(0), chance, now).unwrap());
        assert_eq!(ends[0], now + AGE.mul_f64(0.9));
        assert_eq!(ends[1], now + AGE.mul_f64(1.1));
    }

    #[test]
    fn a_client_is_due_at_its_end_and_not_before() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut ages = Ages::new(Some(AGE), start);
        ages.begin(ConnectionId(3), 0, start);
        ages.begin(ConnectionId(4), 0, start);
        ages.end(ConnectionId(4));
        for seconds in 1..90 {
            assert!(ages.due(start + second * seconds).is_empty());
        }
        assert_eq!(ages.due(start + second * 91), [ConnectionId(3)]);
        assert_eq!(ages.next(), None);
    }

    #[test]
    fn without_a_limit_nobody_is_due() {
        let now = Instant::now();
        let mut ages = Ages::new(None, now);
        assert_eq!(ages.begin(ConnectionId(0), 0, now), None);
        assert_eq!((ages.next(), ages.due(now + AGE * 9)), (None, vec![]));
    }
}
