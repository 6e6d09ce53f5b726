//! The simulated time, and the wall clock, which may jump.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

pub(crate) use womack_redis::clock::now;

/// The wall clock when a run begins.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// The wall clock, which may jump. Clones are the same.
#[derive(Clone)]
pub(crate) struct WallClock {
    start: Instant,
    /// How far it was off, in milliseconds; the last is how far it is.
    offsets: Rc<RefCell<Vec<i64>>>,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self {
            start: now(),
            offsets: Rc::new(RefCell::new(vec![0])),
        }
    }

    /// The clock jumps.
    pub(crate) fn step(&self, millis: u64, is_back: bool) {
        let step = i64::try_from(millis).unwrap_or_default();
        let step = if is_back { -step } else { step };
        let offset = self.offset() + step;
        self.offsets.borrow_mut().push(offset);
    }

    fn offset(&self) -> i64 {
        self.offsets.borrow().last().copied().unwrap_or_default()
    }

    /// The time by this clock.
    pub(crate) fn read(&self) -> SystemTime {
        let millis = self.true_millis().saturating_add_signed(self.offset());
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// The time of a clock that never jumps, in milliseconds.
    pub(crate) fn true_millis(&self) -> u64 {
        let passed = now().duration_since(self.start) + EPOCH;
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }

    /// The true times that this clock may have meant by a time. Steps are so large that all but one
    /// lie outside of the run.
    pub(crate) fn meanings(&self, millis: u64) -> Vec<u64> {
        let offsets = self.offsets.borrow();
        let meanings = offsets.iter();
        meanings
            .map(|offset| millis.saturating_add_signed(-offset))
            .collect()
    }
}
