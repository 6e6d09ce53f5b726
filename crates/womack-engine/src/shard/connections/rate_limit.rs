//! How fast one client may send packets.

/// A client that was silent for long may send so many seconds' packets at once.
const BURST_SECONDS: u32 = 2;
/// The parts of a packet in which is counted: then a millisecond brings whole ones at any rate.
const PARTS: u32 = 1000;

/// What a client has left of the packets that it may send. It is full at first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Parts of packets that are missing.
    missing: u32,
    /// When that was so, in milliseconds of the shard's life.
    at: u32,
}

impl Pace {
    /// Takes one packet of `rate` a second. False if none is left.
    pub(super) fn take(&mut self, rate: u32, now: u32) -> bool {
        let passed = u64::from(now.wrapping_sub(self.at)) * u64::from(rate);
        self.at = now;
        let refilled = u32::try_from(passed).unwrap_or(u32::MAX);
        self.missing = self.missing.saturating_sub(refilled);
        let full = rate.saturating_mul(BURST_SECONDS * PARTS);
        let room = full.saturating_sub(self.missing);
        let fits = room >= PARTS;
        self.missing += if fits { PARTS } else { 0 };
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let mut pace = Pace::default();
        assert_eq!((0..100).filter(|_| pace.take(10, 0)).count(), 20);
        assert_eq!((0..1000).filter(|&now| pace.take(10, now)).count(), 9);
        assert_eq!((0..100).filter(|_| pace.take(10, 90_000)).count(), 20);
    }

    #[test]
    fn no_rate_and_no_time_is_too_much_to_count() {
        for (rate, now) in [(1, u32::MAX), (1_000_000, u32::MAX), (1_000_000, 0)] {
            let mut pace = Pace::default();
            assert!((0..2 * rate).all(|_| pace.take(rate, now)), "{rate}");
            assert!(!pace.take(rate, now), "{rate}");
            assert!(pace.take(rate, now.wrapping_add(1000)));
        }
    }

    #[test]
    fn it_costs_eight_bytes() {
        assert_eq!(size_of::<Pace>(), 8);
    }
}
