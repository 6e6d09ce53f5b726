//! How much one client may have the shard do.

use crate::limits::Limits;

/// A client that was silent for long may send so many seconds' packets at once.
const BURST_SECONDS: u32 = 2;
/// The parts of a packet in which is counted: then a millisecond brings whole ones at any rate.
const PARTS: u32 = 1000;
/// How often a second a client may send as many bytes as one packet may have.
const PAYLOADS_PER_SECOND: u64 = 4;
/// How often a second it may change as many channels as it may be in.
const ALL_CHANNELS_PER_SECOND: u64 = 2;
/// Questions who is in a channel that it may ask in a second.
const QUESTIONS_PER_SECOND: u64 = 100;

/// Something that a client has the shard do. Its cost follows from how often a second that may be,
/// so it is the same part of a client's rate whatever the operator has set.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) enum Work {
    /// Reading a packet of so many bytes.
    Packet(usize),
    /// So many channels that are joined or left, or in which others hear of the client.
    Channels(usize),
    /// A question who is in a channel.
    Question,
}

impl Work {
    /// The parts of packets that this costs, of which there are `rate` times [`PARTS`] in a second.
    fn cost(self, limits: &Limits) -> u32 {
        let second = u64::from(limits.max_packets_per_second) * u64::from(PARTS);
        let part = |count: usize, most: u64| {
            let cost = (count as u64).saturating_mul(second);
            cost.checked_div(most).unwrap_or(cost)
        };
        let cost = match self {
            Self::Packet(bytes) => {
                let most = limits.max_payload_bytes as u64 * PAYLOADS_PER_SECOND;
                u64::from(PARTS) + part(bytes, most)
            }
            Self::Channels(count) => {
                let most = limits.max_channels_per_client as u64 * ALL_CHANNELS_PER_SECOND;
                part(count, most)
            }
            Self::Question => part(1, QUESTIONS_PER_SECOND),
        };
        u32::try_from(cost).unwrap_or(u32::MAX)
    }
}

/// What a client has left of the packets that it may send. It is full at first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Parts of packets that are missing.
    missing: u32,
    /// When that was so, in milliseconds of the shard's life.
    at: u32,
}

impl Pace {
    /// Takes what `work` costs. False if there is not so much left.
    pub(super) fn take(&mut self, work: Work, limits: &Limits, now: u32) -> bool {
        let rate = limits.max_packets_per_second;
        let cost = work.cost(limits);
        let passed = u64::from(now.wrapping_sub(self.at)) * u64::from(rate);
        self.at = now;
        let refilled = u32::try_from(passed).unwrap_or(u32::MAX);
        self.missing = self.missing.saturating_sub(refilled);
        let full = rate.saturating_mul(BURST_SECONDS * PARTS);
        let room = full.saturating_sub(self.missing);
        let fits = room >= cost;
        self.missing += if fits { cost } else { 0 };
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate: u32) -> Limits {
        Limits {
            max_packets_per_second: rate,
            max_payload_bytes: 1000,
            max_channels_per_client: 50,
            ..Limits::default()
        }
    }

    /// How often `work` fits at one moment.
    fn fits(pace: &mut Pace, work: Work, rate: u32, now: u32) -> usize {
        let limits = limits(rate);
        (0..).take_while(|_| pace.take(work, &limits, now)).count()
    }

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let (mut pace, packet) = (Pace::default(), Work::Packet(0));
        assert_eq!(fits(&mut pace, packet, 10, 0), 20);
        let limits = limits(10);
        let taken = (0..1000).filter(|&now| pace.take(packet, &limits, now));
        assert_eq!(taken.count(), 9);
        assert_eq!(fits(&mut pace, packet, 10, 90_000), 20);
    }

    #[test]
    fn no_rate_and_no_time_is_too_much_to_count() {
        for (rate, now) in [(1, u32::MAX), (1_000_000, u32::MAX), (1_000_000, 0)] {
            let (mut pace, packet) = (Pace::default(), Work::Packet(0));
            assert_eq!(fits(&mut pace, packet, rate, now), 2 * rate as usize);
            assert!(pace.take(packet, &limits(rate), now.wrapping_add(1000)));
        }
    }

    #[test]
    fn work_costs_the_same_part_of_any_rate() {
        for rate in [10, 10_000] {
            for (work, most) in [
                // Two seconds with room for four payloads each, but for the packets themselves.
                (Work::Packet(1000), if rate == 10 { 5 } else { 7 }),
                (Work::Channels(50), 4),
                (Work::Channels(1), 200),
                (Work::Question, 200),
            ] {
                let found = fits(&mut Pace::default(), work, rate, 0);
                assert_eq!(found, most, "{work:?} at {rate}");
            }
        }
    }

    #[test]
    fn it_costs_eight_bytes() {
        assert_eq!(size_of::<Pace>(), 8);
    }
}
