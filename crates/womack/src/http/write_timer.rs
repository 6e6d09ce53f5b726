//! How long a client may take to read an answer.
//!
//! A client that reads nothing, or next to nothing, would hold the answer's bytes for ever. So it
//! has to take something within a time, and has that time and one second more for each
//! [`LEAST_RATE`] bytes for all of it. Event streams, which do not end, have other rules.

use std::time::{Duration, Instant};

/// Bytes a second that every client reads. Mobile networks of the second generation bring some
/// thousands.
const LEAST_RATE: u64 = 1024;

/// Times a client that does not take what there is to write.
#[derive(Debug)]
pub(super) struct WriteTimer {
    time: Duration,
    blocked: Option<Blocked>,
}

#[derive(Clone, Copy, Debug)]
struct Blocked {
    /// Since when there has always been something left to write.
    since: Instant,
    /// Bytes that were written by then.
    written_before: u64,
    /// When the client last took something.
    progress: Instant,
    written: u64,
}

impl WriteTimer {
    /// A client that has `time`.
    pub(super) const fn new(time: Duration) -> Self {
        Self {
            time,
            blocked: None,
        }
    }

    /// Takes what has happened up to `now`: bytes written since the connection opened, and whether
    /// there is more to write than the system takes.
    pub(super) fn observe(&mut self, written: u64, is_blocked: bool, now: Instant) {
        self.blocked = is_blocked.then(|| {
            let blocked = self.blocked.unwrap_or(Blocked {
                since: now,
                written_before: written,
                progress: now,
                written,
            });
            let has_moved = written > blocked.written;
            Blocked {
                progress: if has_moved { now } else { blocked.progress },
                written,
                ..blocked
            }
        });
    }

    /// Whether the client has still to take something.
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Until when the client has to take something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let blocked = self.blocked?;
        let taken = Duration::from_secs((blocked.written - blocked.written_before) / LEAST_RATE);
        let all = blocked.since + self.time + taken;
        Some(all.min(blocked.progress + self.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_client_that_takes_all_has_no_deadline() {
        let (mut timer, start) = (WriteTimer::new(TIME), Instant::now());
        timer.observe(100, false, start);
        assert_eq!(timer.deadline(), None);
        timer.observe(100, true, at(start, 1));
        assert_eq!(timer.deadline(), Some(at(start, 11)));
        timer.observe(200, false, at(start, 2));
        assert!(timer.deadline().is_none() && !timer.is_blocked());
    }

    #[test]
    fn a_client_that_reads_on_has_the_time_again() {
        let (mut timer, start) = (WriteTimer::new(TIME), Instant::now());
        timer.observe(0, true, start);
        timer.observe(100 * LEAST_RATE, true, at(start, 9));
        assert_eq!(timer.deadline(), Some(at(start, 19)));
        timer.observe(100 * LEAST_RATE, true, at(start, 15));
        assert_eq!(timer.deadline(), Some(at(start, 19)));
    }

    #[test]
    fn a_client_that_reads_a_byte_a_second_does_not_hold_its_answer_for_ever() {
        let (mut timer, start) = (WriteTimer::new(TIME), Instant::now());
        for second in 0..10 {
            timer.observe(second, true, at(start, second));
        }
        assert_eq!(timer.deadline(), Some(at(start, 10)));
    }
}
