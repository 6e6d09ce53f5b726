//! The gaps that are open: channels that were lost and of which clients are still to be told.
//!
//! A gap is told when its channels are back, before the first message that follows it; until then
//! such messages are held back. If that takes too long or holds too much, the gap is told in parts:
//! of the channels that are back now, and of the others later.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use womack_ledger::{Charge, Ledger};
use womack_proto::subscriber::Message;

use crate::command::{Gap, GapCause, LossNumber};

/// The gaps that are open, and the messages that wait for their end.
pub(crate) struct OpenGaps {
    open: Vec<OpenGap>,
    /// The last loss.
    loss: LossNumber,
    held: VecDeque<Message>,
    /// The messages that are held back.
    charge: Charge,
    max_held_bytes: usize,
    /// How long channels that are back wait for the others.
    timeout: Duration,
}

/// A gap that has not been told to its end.
#[derive(Debug)]
struct OpenGap {
    loss: LossNumber,
    /// All that was published before has been received.
    since: Instant,
    /// Channels that are lost.
    missing: HashSet<Arc<str>>,
    /// Channels that are live again and of which nobody was told.
    back: HashSet<Arc<str>>,
    /// Channels that were never lost themselves, but names that other publishers have for them.
    by_statics: HashSet<Arc<str>>,
    /// Whether the static subscriptions are lost.
    misses_statics: bool,
    /// When the first and the last of them came back.
    first_back: Option<Instant>,
    last_back: Option<Instant>,
}

/// Channels that are lost at one time.
#[derive(Debug)]
pub(crate) struct LostChannels {
    pub(crate) channels: HashSet<Arc<str>>,
    /// Whether the static subscriptions are lost too, and the channels that only they serve.
    pub(crate) statics: Option<HashSet<Arc<str>>>,
    pub(crate) since: Instant,
}

/// A gap that is to be told.
#[derive(Debug)]
pub(crate) struct EndedGap {
    pub(crate) gap: Gap,
    pub(crate) length: Duration,
    pub(crate) is_last: bool,
}

impl OpenGaps {
    /// Messages of up to `max_held_bytes` are held back, which are charged to `ledger`, and channels
    /// that are back wait up to `timeout` for others.
    pub(crate) fn new(max_held_bytes: usize, timeout: Duration, ledger: &Ledger) -> Self {
        Self {
            open: Vec::new(),
            loss: LossNumber::default(),
            held: VecDeque::new(),
            charge: ledger.hold(0),
            max_held_bytes,
            timeout,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many channels bring nothing.
    pub(crate) fn missing(&self) -> usize {
        self.open.iter().map(|gap| gap.missing.len()).sum()
    }

    /// Channels are lost. Returns the number of the loss.
    pub(crate) fn begin(&mut self, lost: LostChannels) -> LossNumber {
        self.loss.0 = self.loss.0.wrapping_add(1);
        self.open.push(OpenGap {
            loss: self.loss,
            since: lost.since,
            missing: lost.channels,
            back: HashSet::new(),
            misses_statics: lost.statics.is_some(),
            by_statics: lost.statics.unwrap_or_default(),
            first_back: None,
            last_back: None,
        });
        self.loss
    }

    /// A channel is live again.
    pub(crate) fn back(&mut self, channel: &Arc<str>, now: Instant) {
        for gap in &mut self.open {
            if gap.missing.remove(channel) {
                gap.back.insert(channel.clone());
                gap.first_back.get_or_insert(now);
                gap.last_back = Some(now);
            }
        }
    }

    /// The static subscriptions are there again, or refused.
    pub(crate) fn statics_back(&mut self, now: Instant) {
        for gap in &mut self.open {
            if std::mem::take(&mut gap.misses_statics) {
                gap.last_back = Some(now);
            }
        }
    }

    /// Nobody waits any more for a channel, which has these names. What was held back of it is for
    /// nobody either: whoever comes later was not there, and may have missed what followed.
    pub(crate) fn forget(&mut self, names: &HashSet<Arc<str>>) {
        for gap in &mut self.open {
            for name in names {
                gap.missing.remove(name);
                gap.back.remove(name);
                gap.by_statics.remove(name);
            }
        }
        self.held
            .retain(|message| !names.contains(message.channel()));
        self.charge.set(self.held.iter().map(held_bytes).sum());
    }

    /// Holds a message back if a gap is to be told before it, or gives it back. A message that is
    /// for no channel by its name may be for any: `is_known` tells.
    pub(crate) fn hold(&mut self, message: Message, is_known: bool) -> Option<Message> {
        let channel = message.channel();
        let mut gaps = self.open.iter();
        let waits = match is_known {
            true => gaps.any(|gap| gap.back.contains(channel)),
            false => gaps.any(|gap| gap.first_back.is_some()),
        };
        if !waits {
            return Some(message);
        }
        self.charge.add(held_bytes(&message));
        self.held.push_back(message);
        None
    }

    /// Whether too much is held back to wait any longer.
    pub(crate) const fn is_full(&self) -> bool {
        self.charge.bytes() > self.max_held_bytes
    }

    /// When [`OpenGaps::end`] next has something to do by the time alone.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let back = self.open.iter().filter_map(|gap| gap.first_back);
        back.min().map(|first| first + self.timeout)
    }

    /// Takes out the gaps, or the parts of them, that are to be told now, at the time `now` which
    /// is `wall` by the clock. With `all`, whatever is back is told.
    pub(crate) fn end(&mut self, now: Instant, wall: SystemTime, all: bool) -> Vec<EndedGap> {
        let mut ended = Vec::new();
        let (is_full, timeout) = (self.is_full(), self.timeout);
        self.open.retain_mut(|gap| {
            let is_whole = gap.missing.is_empty() && !gap.misses_statics;
            let is_late = gap.first_back.is_some_and(|first| first + timeout <= now);
            if !(is_whole || is_late || is_full || all) {
                return true;
            }
            let mut channels = std::mem::take(&mut gap.back);
            gap.first_back = None;
            // All that is told of was live then.
            let end = gap.last_back.take().unwrap_or(now);
            if !gap.misses_statics {
                channels.extend(std::mem::take(&mut gap.by_statics));
            }
            if is_whole || !channels.is_empty() {
                let length = end.saturating_duration_since(gap.since);
                let since_end = now.saturating_duration_since(end);
                let end = wall.checked_sub(since_end).unwrap_or(wall);
                let (from, to) = unix_millis(length, end);
                ended.push(EndedGap {
                    gap: Gap {
                        cause: GapCause::Loss {
                            number: gap.loss,
                            is_last: is_whole,
                        },
                        channels,
                        from,
                        to,
                    },
                    length,
                    is_last: is_whole,
                });
            }
            !is_whole
        });
        ended
    }

    /// Takes out all messages that were held back.
    pub(crate) fn release(&mut self) -> VecDeque<Message> {
        self.charge.set(0);
        std::mem::take(&mut self.held)
    }
}

/// What a message takes that is held back.
const fn held_bytes(message: &Message) -> usize {
    message.wire_bytes() + size_of::<Message>()
}

/// The start and the end of a time of this length that ends at `end`, in Unix milliseconds. By the
/// clock as it is now: if it was set meanwhile, the length is right.
pub(super) fn unix_millis(length: Duration, end: SystemTime) -> (u64, u64) {
    let to = millis(end);
    // The end is rounded up, so that nothing falls into a gap between the two clocks.
    (to.saturating_sub(length_millis(length)), to + 1)
}

/// Milliseconds since 1970, rounded down.
fn millis(time: SystemTime) -> u64 {
    let time = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(time.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn length_millis(length: Duration) -> u64 {
    // Rounded up: a gap may begin too early, but never too late.
    u64::try_from(length.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn gaps() -> (OpenGaps, Instant, SystemTime) {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        (
            OpenGaps::new(1000, TIMEOUT, &Ledger::default()),
            Instant::now(),
            wall,
        )
    }

    fn lost(names: &[&str], since: Instant) -> LostChannels {
        LostChannels {
            channels: names.iter().map(|name| Arc::from(*name)).collect(),
            statics: None,
            since,
        }
    }

    fn message(channel: &str) -> Message {
        let (bytes, end) = (Bytes::from(format!("{channel}1")), channel.len());
        Message::new(bytes, 0..end, end..end + 1, false)
    }

    /// The channels of each gap that is told, and whether it is the last of its loss.
    fn told(ended: &[EndedGap]) -> Vec<(Vec<&str>, bool)> {
        let told = ended.iter().map(|ended| {
            let mut names: Vec<_> = ended.gap.channels.iter().map(AsRef::as_ref).collect();
            names.sort_unstable();
            (names, ended.is_last)
        });
        told.collect()
    }

    #[test]
    fn a_gap_is_told_when_its_last_channel_is_back_and_before_what_follows() {
        let (mut gaps, now, wall) = gaps();
        gaps.begin(lost(&["a", "b"], now));
        assert!(gaps.hold(message("a"), true).is_some());
        gaps.back(&"a".into(), now);
        assert!(gaps.end(now, wall, false).is_empty());
        assert!(gaps.hold(message("a"), true).is_none());
        assert!(gaps.hold(message("c"), true).is_some());
        assert!(gaps.hold(message("other"), false).is_none());
        let later = now + Duration::from_millis(1500);
        gaps.back(&"b".into(), later);
        let ended = gaps.end(later, wall, false);
        assert_eq!(told(&ended), [(vec!["a", "b"], true)]);
        assert_eq!((ended[0].gap.from, ended[0].gap.to), (998_500, 1_000_001));
        assert_eq!(gaps.release().len(), 2);
        assert!(gaps.is_empty() && gaps.hold(message("a"), true).is_some());
    }

    #[test]
    fn channels_that_are_back_are_told_after_a_while_or_when_too_much_waits() {
        let (mut gaps, now, wall) = gaps();
        gaps.begin(lost(&["a", "b", "c"], now));
        gaps.back(&"a".into(), now);
        assert_eq!(gaps.deadline(), Some(now + TIMEOUT));
        let ended = gaps.end(now + TIMEOUT, wall, false);
        assert_eq!(told(&ended), [(vec!["a"], false)]);
        gaps.back(&"b".into(), now);
        while !gaps.is_full() {
            assert!(gaps.hold(message("b"), true).is_none());
        }
        assert_eq!(told(&gaps.end(now, wall, false)), [(vec!["b"], false)]);
        gaps.release();
        gaps.forget(&HashSet::from(["c".into()]));
        assert_eq!(told(&gaps.end(now, wall, false)), [(vec![], true)]);
        assert!(gaps.is_empty());
    }

    #[test]
    fn a_second_loss_has_another_number_and_its_own_gap() {
        let (mut gaps, now, wall) = gaps();
        let first = gaps.begin(lost(&["a", "b"], now));
        gaps.back(&"a".into(), now);
        assert_eq!(told(&gaps.end(now, wall, true)), [(vec!["a"], false)]);
        let second = gaps.begin(lost(&["a"], now));
        assert!(second > first);
        for name in ["a", "b"] {
            gaps.back(&name.into(), now);
        }
        let ended = gaps.end(now, wall, false);
        assert_eq!(told(&ended), [(vec!["b"], true), (vec!["a"], true)]);
    }

    #[test]
    fn channels_that_only_lost_their_other_names_wait_for_those_alone() {
        let (mut gaps, now, wall) = gaps();
        let statics = HashSet::from([Arc::from("x")]);
        gaps.begin(LostChannels {
            statics: Some(statics),
            ..lost(&["a"], now)
        });
        gaps.back(&"a".into(), now);
        assert!(gaps.hold(message("x"), true).is_some());
        assert!(gaps.end(now, wall, false).is_empty());
        gaps.statics_back(now);
        assert_eq!(told(&gaps.end(now, wall, false)), [(vec!["a", "x"], true)]);
    }
}
