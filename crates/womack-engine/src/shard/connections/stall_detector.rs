//! Notices that the process did not run for a while.

use std::time::{Duration, Instant};

/// A tick that is so much too late was not late for the load of the machine.
const STALL: Duration = Duration::from_secs(1);
/// Time after a stall in which sockets are read before deadlines count again.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Least time between two such times, so that deadlines count on a machine that stalls all the
/// time.
const REST: Duration = Duration::from_secs(10);

/// Notices that the process did not run for a while: it was stopped and continued, or its machine
/// was.
///
/// Bytes that peers sent meanwhile wait in sockets. Until they have been read, silence proves
/// nothing, and no deadline that passed meanwhile counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StallDetector {
    ticked: Instant,
    /// When the last time to catch up began.
    stalled: Option<Instant>,
}

impl StallDetector {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            ticked: now,
            stalled: None,
        }
    }

    /// The process runs at `now`. To be called several times a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        let is_late = now.saturating_duration_since(self.ticked) > STALL;
        if is_late && self.stalled.is_none_or(|then| now > then + REST) {
            self.stalled = Some(now);
        }
        self.ticked = now;
    }

    /// Until when deadlines do not count, if the process has just stalled.
    pub(crate) fn catches_up(&mut self, now: Instant) -> Option<Instant> {
        if now.saturating_duration_since(self.ticked) > STALL {
            self.tick(now);
        }
        let until = self.stalled? + CATCH_UP;
        (now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_wait_a_moment_after_a_stall_and_not_again_at_once() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut detector = StallDetector::new(start);
        detector.tick(at(0.25));
        assert_eq!(detector.catches_up(at(1.0)), None);
        assert_eq!(detector.catches_up(at(6.0)), Some(at(7.0)));
        assert_eq!(detector.catches_up(at(6.5)), Some(at(7.0)));
        detector.tick(at(7.0));
        assert_eq!(detector.catches_up(at(7.0)), None);
        detector.tick(at(10.0));
        assert_eq!(detector.catches_up(at(10.0)), None);
        detector.tick(at(20.0));
        assert_eq!(detector.catches_up(at(20.0)), Some(at(21.0)));
    }
}
