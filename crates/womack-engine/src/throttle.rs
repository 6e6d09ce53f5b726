//! Keeps a log line that anybody can cause from filling the log.

use std::time::{Duration, Instant};

/// Lets one event through in each interval and counts the others.
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Lets one event through in each `interval`.
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: None,
            held_back: 0,
        }
    }

    /// Whether an event at `now` goes through; if so, how many were held back since the last.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + self.interval) {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_an_interval_passes_and_says_how_many_did_not() {
        let (mut throttle, now) = (Throttle::new(Duration::from_secs(1)), Instant::now());
        assert_eq!(throttle.pass(now), Some(0));
        assert_eq!(throttle.pass(now), None);
        assert_eq!(throttle.pass(now + Duration::from_millis(999)), None);
        assert_eq!(throttle.pass(now + Duration::from_secs(1)), Some(2));
    }
}
