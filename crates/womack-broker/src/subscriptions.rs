//! The channels and patterns that one client has subscribed to.

use std::collections::HashSet;
use std::rc::Rc;

/// Bookkeeping that one subscription costs beside its name, roughly.
const SUBSCRIPTION_BYTES: usize = 128;

/// The three spaces of names that can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Kind {
    pub(crate) const COUNT: usize = 3;
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::Channel, Self::Pattern, Self::Shard];
}

/// The names that one client has subscribed to, and the memory that they take.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    names: [HashSet<Rc<[u8]>>; Kind::COUNT],
    bytes: usize,
}

impl Subscriptions {
    /// False if the name would take the subscriptions over `max_bytes`.
    pub(crate) fn add(&mut self, kind: Kind, name: Rc<[u8]>, max_bytes: usize) -> bool {
        let bytes = self.bytes + name.len() + SUBSCRIPTION_BYTES;
        if bytes > max_bytes {
            return false;
        }
        self.bytes = bytes;
        self.names[kind as usize].insert(name)
    }

    /// False if there was no such subscription.
    pub(crate) fn remove(&mut self, kind: Kind, name: &[u8]) -> bool {
        let removed = self.names[kind as usize].remove(name);
        if removed {
            self.bytes -= name.len() + SUBSCRIPTION_BYTES;
        }
        removed
    }

    pub(crate) fn contains(&self, kind: Kind, name: &[u8]) -> bool {
        self.names[kind as usize].contains(name)
    }

    pub(crate) fn of(&self, kind: Kind) -> &HashSet<Rc<[u8]>> {
        &self.names[kind as usize]
    }

    /// The count in the confirmations of `kind`: channels and patterns share one.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        let count = |kind| self.of(kind).len();
        match kind {
            Kind::Channel | Kind::Pattern => count(Kind::Channel) + count(Kind::Pattern),
            Kind::Shard => count(Kind::Shard),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.iter().all(HashSet::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_against_their_bound_until_they_are_removed() {
        let most = 2 * (SUBSCRIPTION_BYTES + 1);
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.add(Kind::Channel, (*b"a").into(), most));
        assert!(subscriptions.add(Kind::Pattern, (*b"b").into(), most));
        assert!(!subscriptions.add(Kind::Shard, (*b"c").into(), most));
        assert!(subscriptions.remove(Kind::Channel, b"a"));
        assert!(!subscriptions.remove(Kind::Channel, b"a"));
        assert!(subscriptions.add(Kind::Shard, (*b"c").into(), most));
        let counts = Kind::ALL.map(|kind| subscriptions.count(kind));
        assert_eq!((counts, subscriptions.is_empty()), ([1, 1, 1], false));
    }
}
