//! Changes of what is known about clients, which others hear of once a second of each.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use ahash::RandomState;
use womack_ledger::{Charge, Ledger};
use womack_proto::NamespaceId;

use crate::{sid::ConnectionRef, timeout_queue::TimeoutQueue};

/// Between two changes of a client that others hear of: each concerns all its channels.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is kept of a change, in bytes.
const CHANGE_BYTES: usize = 128;

/// A client in a namespace.
pub(crate) type MetaOwner = (ConnectionRef, NamespaceId);

/// The clients of which others have heard within the last second.
pub(crate) struct MetaChanges {
    /// Whether something has changed since.
    changed: HashMap<MetaOwner, bool, RandomState>,
    ends: TimeoutQueue<MetaOwner>,
    charge: Charge,
}

impl MetaChanges {
    /// Nobody has changed anything. What is kept is charged to `ledger`.
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            changed: HashMap::default(),
            ends: TimeoutQueue::new(INTERVAL),
            charge: ledger.hold(0),
        }
    }

    /// Something has changed. Whether others are to hear of it now; if not, [`MetaChanges::due`]
    /// says when.
    pub(crate) fn change(&mut self, owner: MetaOwner, now: Instant) -> bool {
        match self.changed.entry(owner) {
            Entry::Occupied(mut changed) => {
                changed.insert(true);
                false
            }
            Entry::Vacant(unknown) => {
                unknown.insert(false);
                self.ends.push(owner, now);
                self.charge.set(self.changed.len() * CHANGE_BYTES);
                true
            }
        }
    }

    /// A client whose last change others are to hear of now, if there is one.
    pub(crate) fn due(&mut self, now: Instant) -> Option<MetaOwner> {
        while let Some((_, owner)) = self.ends.expire(now) {
            if let Some(changed) = self.changed.get_mut(&owner)
                && std::mem::take(changed)
            {
                self.ends.push(owner, now);
                return Some(owner);
            }
            self.changed.remove(&owner);
            self.charge.set(self.changed.len() * CHANGE_BYTES);
        }
        None
    }

    /// When [`MetaChanges::due`] is to be asked next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.ends.next_deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sid::ConnectionId;

    #[test]
    fn the_first_change_is_told_at_once_and_the_last_of_each_second_after_it() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        let mut changes = MetaChanges::new(&ledger);
        let at = |millis| start + Duration::from_millis(millis);
        let owner = |secret| {
            let client = ConnectionRef {
                id: ConnectionId(1),
                secret,
            };
            (client, NamespaceId(0))
        };
        assert!(changes.change(owner(1), at(0)));
        assert!(changes.change(owner(2), at(100)), "another client");
        assert!(!changes.change(owner(1), at(200)));
        assert!(!changes.change(owner(1), at(300)));
        assert_eq!(ledger.bytes(), 2 * CHANGE_BYTES);
        assert_eq!(changes.due(at(999)), None);
        assert_eq!(changes.due(at(1000)), Some(owner(1)));
        assert_eq!(changes.due(at(1100)), None, "nothing has changed");
        assert!(changes.change(owner(2), at(1200)));
        assert_eq!(changes.due(at(2500)), None);
        assert_eq!((changes.next_deadline(), ledger.bytes()), (None, 0));
    }
}
