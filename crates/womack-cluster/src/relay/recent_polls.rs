//! Polls that were answered a short while ago.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use womack_engine::{Sid, Ticket, TimeoutQueue};

use super::place::Place;

/// How long it may take until an ingress says that nobody waits for an answer any more. Longer than
/// a link lasts that brings nothing.
const REMEMBERED: Duration = Duration::from_secs(30);

/// The sessions of polls that were answered, or given up, a short while ago: their answers may be
/// lost on their way.
pub(super) struct RecentPolls {
    tickets: HashMap<Place, Ticket>,
    polls: TimeoutQueue<(Place, Sid)>,
}

impl Default for RecentPolls {
    fn default() -> Self {
        Self {
            tickets: HashMap::new(),
            polls: TimeoutQueue::new(REMEMBERED),
        }
    }
}

impl RecentPolls {
    /// The poll at `place` has had its answer.
    pub(super) fn add(&mut self, place: Place, sid: Sid, now: Instant) {
        let ticket = self.polls.push((place, sid), now);
        self.tickets.insert(place, ticket);
    }

    /// Takes out the session of the poll at `place`.
    pub(super) fn remove(&mut self, place: Place) -> Option<Sid> {
        let ticket = self.tickets.remove(&place)?;
        self.polls.remove(ticket).map(|(_, sid)| sid)
    }

    /// Forgets polls of long ago.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, (place, _))) = self.polls.expire(now) {
            self.tickets.remove(&place);
        }
    }
}
