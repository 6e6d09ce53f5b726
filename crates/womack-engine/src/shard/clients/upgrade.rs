//! The WebSocket that asks to become a polling session's transport, and its deadlines.
//!
//! `coordination/upgrade` has the steps of the upgrade.

use std::time::{Duration, Instant};

use crate::shard::io::wire::Wire;

/// How long a poll may wait while a probe that was answered has not become the transport yet.
const POLL_DURING_PROBE: Duration = Duration::from_millis(50);

/// A WebSocket that asks to become a polling session's transport.
pub(crate) struct Probe {
    wire: Wire,
    /// Whether its probe was answered; from then on polls are ended soon.
    is_answered: bool,
    /// When its time is up.
    deadline: Instant,
    /// When a waiting poll is to be ended.
    noop_at: Option<Instant>,
}

impl Probe {
    /// A WebSocket that has until `deadline`.
    pub(in crate::shard) const fn new(wire: Wire, deadline: Instant) -> Self {
        Self {
            wire,
            is_answered: false,
            deadline,
            noop_at: None,
        }
    }

    pub(in crate::shard) const fn wire_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }

    pub(in crate::shard) fn into_wire(self) -> Wire {
        self.wire
    }

    /// When something is to be done about it.
    pub(super) fn next_deadline(&self) -> Instant {
        let noop_at = self.noop_at;
        noop_at.map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// Its probe is answered.
    pub(in crate::shard) const fn answered(&mut self) {
        self.is_answered = true;
    }

    /// Whether its probe was answered.
    pub(in crate::shard) const fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// Whether its time is up.
    pub(in crate::shard) fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now
    }

    /// Whether a waiting poll is to be ended now, which is said once.
    pub(in crate::shard) fn takes_noop(&mut self, now: Instant) -> bool {
        self.noop_at.take_if(|at| *at <= now).is_some()
    }

    /// A poll that waits from now on is ended soon if the probe was answered. Returns whether it
    /// was.
    pub(in crate::shard) fn end_poll_soon(&mut self, now: Instant) -> bool {
        if self.is_answered {
            self.noop_at = Some(now + POLL_DURING_PROBE);
        }
        self.is_answered
    }
}
