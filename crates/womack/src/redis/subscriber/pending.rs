//! Subscriptions that are wanted and that Redis has not been asked for.

use std::sync::Arc;

use ahash::RandomState;
use indexmap::IndexMap;
use womack_proto::subscriber::{Generation, Subscription};

/// Subscriptions that are wanted and that Redis has not been asked for.
///
/// There is one for each channel: a later request for it replaces the earlier one. They are asked
/// for in the order in which they came, so that a client that subscribes to one channel after the
/// other has the answers in that order. One that is given up leaves its place to the last.
#[derive(Default)]
pub(super) struct PendingSubscriptions(IndexMap<Arc<str>, Wanted, RandomState>);

struct Wanted {
    aliases: Vec<Arc<str>>,
    generation: Generation,
}

impl PendingSubscriptions {
    pub(super) fn add(&mut self, subscriptions: impl IntoIterator<Item = Subscription>) {
        for subscription in subscriptions {
            let Subscription {
                channel,
                aliases,
                generation,
            } = subscription;
            let wanted = Wanted {
                aliases,
                generation,
            };
            self.0.insert(channel, wanted);
        }
    }

    /// Gives a subscription up. False if it was not there.
    pub(super) fn give_up(&mut self, channel: &str) -> bool {
        self.0.swap_remove(channel).is_some()
    }

    /// Takes up to `most` of them out.
    pub(super) fn take(&mut self, most: usize) -> Vec<Subscription> {
        let taken = self.0.drain(..most.min(self.0.len()));
        let taken = taken.map(|(channel, wanted)| Subscription {
            channel,
            aliases: wanted.aliases,
            generation: wanted.generation,
        });
        let taken = taken.collect();
        if self.0.is_empty() {
            // After the first moments of a connection there are never so many again.
            self.0 = IndexMap::default();
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(channel: &str, generation: Generation) -> Subscription {
        Subscription {
            channel: channel.into(),
            aliases: Vec::new(),
            generation,
        }
    }

    #[test]
    fn subscriptions_are_taken_in_their_order() {
        let mut pending = PendingSubscriptions::default();
        let first = Generation::default();
        let wanted = |channel| subscription(channel, first);
        pending.add(["d", "a", "c", "b", "a"].map(wanted));
        assert!(pending.give_up("b") && !pending.give_up("b"));
        assert_eq!(pending.take(2), ["d", "a"].map(wanted));
        assert_eq!(pending.take(2), [wanted("c")]);
        assert!(pending.is_empty());
    }

    #[test]
    fn a_later_request_replaces_an_earlier_one() {
        let mut pending = PendingSubscriptions::default();
        let first = Generation::default();
        pending.add([subscription("a", first)]);
        pending.add([subscription("a", first.next())]);
        assert_eq!(pending.take(9), [subscription("a", first.next())]);
    }
}
