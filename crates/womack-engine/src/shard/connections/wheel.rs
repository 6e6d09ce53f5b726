//! A wheel of deadlines: one per connection, set and cancelled in constant time.
//!
//! The wheel turns in ticks of some milliseconds. A deadline is noted in the tick in which it
//! ends, so it is seen at most one tick late and never early. Deadlines beyond the wheel's turn
//! stand at its end and are set again when it comes by. The lists of a tick run through one array
//! with an entry per connection, so that a silent client costs twelve bytes here.

use std::time::{Duration, Instant};

use crate::sid::ConnectionId;

const TICK: Duration = Duration::from_millis(4);
/// One turn is about 33 s: the standard ping interval fits.
const TICKS: usize = 8192;
const NONE: u32 = u32::MAX;

/// A wheel of deadlines.
pub(crate) struct Wheel {
    start: Instant,
    /// The tick up to which everything was handed out.
    now: u64,
    /// First connection of each tick.
    heads: Box<[u32]>,
    /// One bit per tick that has a connection.
    occupied: Box<[u64]>,
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    slot: u32,
}

const UNSET: Link = Link {
    previous: NONE,
    next: NONE,
    slot: NONE,
};

impl Wheel {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            start: now,
            now: 0,
            heads: vec![NONE; TICKS].into(),
            occupied: vec![0; TICKS / 64].into(),
            links: Vec::new(),
        }
    }

    /// Sets the deadline of `id`, in place of the one it had.
    pub(crate) fn set(&mut self, id: ConnectionId, deadline: Instant) {
        self.cancel(id);
        let since = deadline.saturating_duration_since(self.start).as_nanos();
        let tick = u64::try_from(since.div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX);
        let tick = tick.clamp(self.now + 1, self.now + TICKS as u64 - 1);
        let slot = (tick % TICKS as u64) as usize;
        if self.links.len() <= id.index() {
            self.links.resize(id.index() + 1, UNSET);
        }
        let next = self.heads[slot];
        self.links[id.index()] = Link {
            previous: NONE,
            next,
            slot: slot as u32,
        };
        if let Some(link) = self.links.get_mut(next as usize) {
            link.previous = id.0;
        }
        self.heads[slot] = id.0;
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    /// Takes the deadline of `id` away.
    pub(crate) fn cancel(&mut self, id: ConnectionId) {
        let Some(link) = self.links.get_mut(id.index()) else {
            return;
        };
        let Link {
            previous,
            next,
            slot,
        } = std::mem::replace(link, UNSET);
        if slot == NONE {
            return;
        }
        if let Some(link) = self.links.get_mut(next as usize) {
            link.previous = previous;
        }
        if let Some(link) = self.links.get_mut(previous as usize) {
            link.next = next;
        } else {
            self.heads[slot as usize] = next;
            if next == NONE {
                self.occupied[slot as usize / 64] &= !(1 << (slot % 64));
            }
        }
    }

    /// Moves those whose tick has passed to the end of `due`. They have no deadline then.
    pub(crate) fn turn(&mut self, now: Instant, due: &mut Vec<ConnectionId>) {
        let elapsed = now.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos();
        let target = u64::try_from(elapsed).unwrap_or(u64::MAX);
        // More than one turn behind, every tick has passed, once.
        let first = (self.now + 1).max(target.saturating_sub(TICKS as u64 - 1));
        for tick in first..=target {
            let slot = (tick % TICKS as u64) as usize;
            if self.occupied[slot / 64] & (1 << (slot % 64)) == 0 {
                continue;
            }
            let mut at = std::mem::replace(&mut self.heads[slot], NONE);
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            while let Some(link) = self.links.get_mut(at as usize) {
                due.push(ConnectionId(at));
                at = std::mem::replace(link, UNSET).next;
            }
        }
        self.now = self.now.max(target);
    }

    /// When [`Wheel::turn`] next has something to hand out.
    pub(crate) fn next(&self) -> Option<Instant> {
        let from = (self.now + 1) % TICKS as u64;
        let ahead = (0..=TICKS / 64).find_map(|step| {
            let word = (from as usize / 64 + step) % (TICKS / 64);
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (from % 64);
            } else if step == TICKS / 64 {
                bits &= !(u64::MAX << (from % 64));
            }
            (bits != 0).then(|| {
                let slot = word as u64 * 64 + u64::from(bits.trailing_zeros());
                (slot + TICKS as u64 - from) % TICKS as u64
            })
        })?;
        let ticks = self.now + 1 + ahead;
        let since = TICK.as_nanos().saturating_mul(u128::from(ticks));
        Some(self.start + Duration::from_nanos(u64::try_from(since).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn due(wheel: &mut Wheel, now: Instant) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        wheel.turn(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn deadline_is_seen_when_it_is_over_and_at_most_a_tick_later() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.set(ConnectionId(3), start + millis(500));
        assert!(due(&mut wheel, start + millis(499)).is_empty());
        assert_eq!(wheel.next(), Some(start + millis(500)));
        assert_eq!(due(&mut wheel, start + millis(500)), [ConnectionId(3)]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_wheel_that_slept_for_turns_hands_everything_out() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.set(ConnectionId(0), start + millis(8));
        wheel.set(ConnectionId(1), start + millis(30_000));
        assert_eq!(
            due(&mut wheel, start + millis(500_000)),
            [0, 1].map(ConnectionId)
        );
    }

    proptest! {
        #[test]
        fn wheel_agrees_with_a_list(operations in prop::collection::vec((0..3_u8, 0..20_u32, 0..40_000_u64), 0..200)) {
            let start = Instant::now();
            let mut wheel = Wheel::new(start);
            let mut list: HashMap<ConnectionId, Instant> = HashMap::new();
            let mut now = start;
            for (operation, id, time) in operations {
                let id = ConnectionId(id);
                match operation {
                    0 => {
                        wheel.set(id, now + millis(time));
                        list.insert(id, now + millis(time));
                    }
                    1 => {
                        wheel.cancel(id);
                        list.remove(&id);
                    }
                    _ => {
                        now += millis(time / 40);
                        for id in due(&mut wheel, now) {
                            let deadline = list[&id];
                            if deadline <= now {
                                list.remove(&id);
                            } else {
                                // It stood at the wheel's end.
                                wheel.set(id, deadline);
                            }
                        }
                        for deadline in list.values() {
                            prop_assert!(*deadline + TICK > now, "late by {:?}", now - *deadline);
                        }
                        let first = list.values().min();
                        if let (Some(next), Some(first)) = (wheel.next(), first) {
                            prop_assert!(next <= (*first + TICK).max(now + TICK * 2));
                        }
                        prop_assert_eq!(wheel.next().is_none(), list.is_empty());
                    }
                }
            }
        }
    }
}
