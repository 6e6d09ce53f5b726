//! When a shard is to be called, and for which connections.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{lifetimes::Ages, wheel::Wheel};
use crate::{shard::connections::stall_detector::StallDetector, sid::ConnectionId};

/// The deadlines of a shard's connections, and the time of its next turn.
///
/// A turn may come too early, since deadlines move away, but never too late.
pub(in crate::shard) struct Timers {
    wheel: Wheel,
    lifetimes: Ages,
    stalls: StallDetector,
    next_turn: Option<Instant>,
    /// Told when a deadline comes before all others.
    sooner: Rc<Notify>,
}

impl Timers {
    /// Nothing is due yet. Connections last up to `max_age`, if that is limited.
    pub(in crate::shard) fn new(max_age: Option<Duration>, now: Instant) -> Self {
        Self {
            wheel: Wheel::new(now),
            lifetimes: Ages::new(max_age, now),
            stalls: StallDetector::new(now),
            next_turn: None,
            sooner: Rc::new(Notify::new()),
        }
    }

    /// A connection begins. Its `chance`, a random number, says how long it may last.
    pub(in crate::shard) fn begin(&mut self, id: ConnectionId, chance: u64, now: Instant) {
        if let Some(end) = self.lifetimes.begin(id, chance, now) {
            self.wake_by(end);
        }
    }

    /// Sets the deadline of a connection, in place of the one it had.
    pub(in crate::shard) fn set(&mut self, id: ConnectionId, deadline: Instant) {
        self.wheel.set(id, deadline);
        self.wake_by(deadline);
    }

    /// A connection is gone.
    pub(in crate::shard) fn end(&mut self, id: ConnectionId) {
        self.wheel.cancel(id);
        self.lifetimes.end(id);
    }

    /// Makes sure that the next turn comes by `deadline`.
    pub(in crate::shard) fn wake_by(&mut self, deadline: Instant) {
        if self.next_turn.is_none_or(|next| deadline < next) {
            self.next_turn = Some(deadline);
            self.sooner.notify_one();
        }
    }

    /// The thread runs. To be called several times a second.
    pub(in crate::shard) fn tick(&mut self, now: Instant) {
        self.stalls.tick(now);
    }

    /// Whether deadlines that are over count. They do not just after the process has stalled: bytes
    /// that came while it did not run are read first.
    pub(in crate::shard) fn count(&mut self, now: Instant) -> bool {
        self.stalls.catches_up(now).is_none()
    }

    /// Begins a turn. False if it is put off, since deadlines do not count now.
    pub(in crate::shard) fn begin_turn(&mut self, now: Instant) -> bool {
        match self.stalls.catches_up(now) {
            None => true,
            Some(until) => {
                self.next_turn = Some(until);
                false
            }
        }
    }

    /// The connections whose deadline may be over. They have none then.
    pub(in crate::shard) fn due(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        self.wheel.turn(now, &mut due);
        due
    }

    /// The connections that have lasted as long as they may.
    pub(in crate::shard) fn aged(&mut self, now: Instant) -> Vec<ConnectionId> {
        self.lifetimes.due(now)
    }

    /// Ends a turn. The next one comes with the first deadline, those of `others` included.
    pub(in crate::shard) fn end_turn(&mut self, others: impl IntoIterator<Item = Option<Instant>>) {
        let own = [self.wheel.next(), self.lifetimes.next()];
        self.next_turn = own.into_iter().chain(others).flatten().min();
    }

    /// When the next turn is due.
    pub(in crate::shard) const fn next_turn(&self) -> Option<Instant> {
        self.next_turn
    }

    /// Told when the next turn has come nearer.
    pub(in crate::shard) fn sooner(&self) -> Rc<Notify> {
        self.sooner.clone()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CLIENT: ConnectionId = ConnectionId(3);

    #[test]
    fn only_a_sooner_deadline_wakes() {
        let now = Instant::now();
        let mut timers = Timers::new(None, now);
        let sooner = timers.sooner();
        let is_told = || sooner.notified().now_or_never().is_some();
        timers.set(CLIENT, now + SECOND * 2);
        assert!(is_told());
        timers.wake_by(now + SECOND * 3);
        assert!(!is_told());
        timers.wake_by(now + SECOND);
        assert!(is_told());
        assert_eq!(timers.next_turn(), Some(now + SECOND));
        assert!(timers.begin_turn(now));
        timers.end_turn([None, Some(now + SECOND * 9)]);
        assert_eq!(timers.next_turn(), Some(now + SECOND * 2));
    }

    #[test]
    fn a_turn_after_a_stall_is_put_off() {
        let start = Instant::now();
        let mut timers = Timers::new(None, start);
        timers.set(CLIENT, start + SECOND);
        let late = start + SECOND * 5;
        assert!(!timers.begin_turn(late) && !timers.count(late));
        let until = timers.next_turn().unwrap();
        assert!(timers.begin_turn(until));
        assert_eq!(timers.due(until), [CLIENT]);
    }

    #[test]
    fn connections_that_have_gone_are_not_due() {
        let now = Instant::now();
        let mut timers = Timers::new(Some(SECOND), now);
        timers.begin(CLIENT, 0, now);
        timers.set(CLIENT, now);
        timers.end(CLIENT);
        assert!(timers.due(now + SECOND).is_empty() && timers.aged(now + SECOND * 2).is_empty());
        timers.end_turn([]);
        assert_eq!(timers.next_turn(), None);
    }
}
