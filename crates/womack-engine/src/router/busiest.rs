//! The channels that bring most messages, found by samples in a fixed number of counters.
//!
//! About [`SAMPLES`] messages of a second are looked at, each of which stands for all since the last.
//! They are counted by *space saving* (Metwally and others, 2005): a channel without a counter takes
//! over the smallest one and remembers its count as what is not its own. So each channel with more
//! than a 64th of all messages has a counter, however many channels there are.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::RandomState;

use crate::busy_channels::BusyChannel;

/// For how long messages are counted.
const PERIOD: Duration = Duration::from_secs(1);
/// Channels that have counters.
const COUNTERS: usize = 64;
/// Messages that are looked at in a period.
const SAMPLES: u32 = 2048;
/// Channels that are told of.
const TOLD: usize = 20;

/// Counters of the channels that bring most messages in the present period.
pub(super) struct BusiestChannels {
    /// Messages until the next one that is looked at.
    until_sample: u32,
    /// Messages for which one stands on average.
    stride: u32,
    /// Samples since the stride was last changed.
    samples: u32,
    /// The state of a random sequence: messages that alternate in a fixed order must not escape.
    random: u32,
    counters: Vec<Counter>,
    hasher: RandomState,
    start: Option<Instant>,
}

struct Counter {
    hash: u64,
    channel: Arc<str>,
    /// Messages, those of earlier owners included.
    messages: u64,
    /// Messages of earlier owners, at most.
    inherited: u64,
    bytes: u64,
}

/// The messages of a period.
#[derive(Debug, PartialEq)]
pub(super) struct Period {
    pub(super) length: Duration,
    /// The busiest channels first.
    pub(super) channels: Vec<BusyChannel>,
}

impl Default for BusiestChannels {
    fn default() -> Self {
        Self {
            until_sample: 1,
            stride: 1,
            samples: 0,
            random: 0x9e37_79b9,
            counters: Vec::new(),
            hasher: RandomState::with_seeds(1, 2, 3, 4),
            start: None,
        }
    }
}

impl BusiestChannels {
    /// A message has come. True if it is to be looked at, by [`BusiestChannels::sample`].
    pub(super) const fn count(&mut self) -> bool {
        self.until_sample -= 1;
        self.until_sample == 0
    }

    /// Counts a message of a channel for those that have come since the last.
    pub(super) fn sample(&mut self, channel: &str, bytes: usize) {
        let weight = u64::from(self.stride);
        let hash = self.hasher.hash_one(channel);
        let mut counters = self.counters.iter_mut();
        let known = counters.find(|found| found.hash == hash && *found.channel == *channel);
        let counter = match known {
            Some(counter) => counter,
            None => self.replace_smallest(hash, channel),
        };
        counter.messages += weight;
        counter.bytes += weight * bytes as u64;
        self.samples += 1;
        if self.samples >= SAMPLES {
            // More has come than was expected.
            self.samples = 0;
            self.stride = self.stride.saturating_mul(2);
        }
        self.until_sample = self.next_distance();
    }

    /// Ends the period if it is over at `now`, and begins another.
    pub(super) fn end(&mut self, now: Instant) -> Option<Period> {
        let start = *self.start.get_or_insert(now);
        let length = now.saturating_duration_since(start);
        if length < PERIOD {
            return None;
        }
        let seconds = length.as_secs_f64();
        let mut counters = std::mem::take(&mut self.counters);
        let all: u64 = counters.iter().map(|counter| counter.messages).sum();
        counters.sort_unstable_by_key(|counter| Reverse(counter.messages - counter.inherited));
        counters.truncate(TOLD);
        let channels = counters.into_iter().map(|counter| BusyChannel {
            messages_per_second: (counter.messages - counter.inherited) as f64 / seconds,
            bytes_per_second: counter.bytes as f64 / seconds,
            redis_channel: counter.channel,
        });
        let channels = channels.collect();
        let expected = (all as f64 / seconds) as u64 / u64::from(SAMPLES);
        self.stride = u32::try_from(expected).unwrap_or(u32::MAX).max(1);
        self.samples = 0;
        self.until_sample = self.until_sample.min(self.next_distance());
        self.start = Some(now);
        Some(Period { length, channels })
    }

    fn replace_smallest(&mut self, hash: u64, channel: &str) -> &mut Counter {
        let mut counter = Counter {
            hash,
            channel: channel.into(),
            messages: 0,
            inherited: 0,
            bytes: 0,
        };
        let places = 0..self.counters.len();
        let smallest = places.min_by_key(|&place| self.counters[place].messages);
        match smallest.filter(|_| self.counters.len() >= COUNTERS) {
            Some(place) => {
                let smallest = &mut self.counters[place];
                counter.messages = smallest.messages;
                counter.inherited = smallest.messages;
                *smallest = counter;
                smallest
            }
            None => {
                self.counters.push(counter);
                let last = self.counters.len() - 1;
                &mut self.counters[last]
            }
        }
    }

    /// The distance to the next message that is looked at: between one and nearly twice the stride,
    /// which it is on average.
    fn next_distance(&mut self) -> u32 {
        // Xorshift, by Marsaglia.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        match self.stride.saturating_mul(2) - 1 {
            0 | 1 => 1,
            most => 1 + self.random % most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 100;

    /// Sends so many messages, of which the function tells the channels.
    fn send(busiest: &mut BusiestChannels, count: u32, channel: impl Fn(u32) -> String) {
        for number in 0..count {
            if busiest.count() {
                busiest.sample(&channel(number), BYTES);
            }
        }
    }

    fn rates(period: &Period) -> Vec<(&str, f64)> {
        let channels = period.channels.iter();
        let rates = channels.map(|found| (&*found.redis_channel, found.messages_per_second));
        rates.collect()
    }

    #[test]
    fn few_messages_are_counted_one_by_one() {
        let (mut busiest, now) = (BusiestChannels::default(), Instant::now());
        assert_eq!(busiest.end(now), None);
        send(&mut busiest, 30, |number| {
            ["a", "b", "a"][number as usize % 3].into()
        });
        assert_eq!(busiest.end(now + PERIOD / 2), None);
        let period = busiest.end(now + PERIOD * 2).unwrap();
        assert_eq!(rates(&period), [("a", 10.0), ("b", 5.0)]);
        assert_eq!(period.channels[0].bytes_per_second, 1000.0);
        assert_eq!(busiest.end(now + PERIOD * 3).unwrap().channels, []);
    }

    #[test]
    fn a_busy_channel_is_found_among_a_hundred_thousand_by_few_samples() {
        let (mut busiest, now) = (BusiestChannels::default(), Instant::now());
        busiest.end(now);
        for second in 1..=3 {
            // Every fourth message is for the busy channel, in an order that never changes.
            send(&mut busiest, 400_000, |number| match number % 4 {
                0 => "hot".to_owned(),
                _ => format!("quiet {number}"),
            });
            let period = busiest.end(now + PERIOD * second).unwrap();
            let (name, rate) = rates(&period)[0];
            assert_eq!(name, "hot");
            assert!((80_000.0..120_000.0).contains(&rate), "{rate}");
            assert!(period.channels.len() <= TOLD);
        }
        assert!(busiest.stride > 100, "{}", busiest.stride);
        assert!(busiest.counters.capacity() <= 2 * COUNTERS);
    }
}
