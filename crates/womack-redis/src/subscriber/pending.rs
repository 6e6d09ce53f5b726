//! Subscriptions that are wanted and that Redis has not been asked for.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use ahash::RandomState;
use womack_proto::subscriber::{Generation, Subscription};

/// Places of subscriptions that were given up, beyond as many as there are subscriptions, before
/// they are cleared away.
const SPARE_PLACES: usize = 1024;

/// Subscriptions that are wanted and that Redis has not been asked for.
///
/// There is one for each channel: a later request for it replaces the earlier one. They are asked
/// for in the order in which they came, so that a client that subscribes to one channel after the
/// other has the answers in that order.
#[derive(Default)]
pub(super) struct PendingSubscriptions {
    wanted: HashMap<Arc<str>, Wanted, RandomState>,
    /// In their order; channels that are wanted no more are passed over.
    order: VecDeque<Arc<str>>,
}

struct Wanted {
    aliases: Vec<Arc<str>>,
    generation: Generation,
}

impl PendingSubscriptions {
    pub(super) fn add(&mut self, subscriptions: impl IntoIterator<Item = Subscription>) {
        for subscription in subscriptions {
            self.add_one(subscription);
        }
    }

    fn add_one(&mut self, subscription: Subscription) {
        let Subscription {
            channel,
            aliases,
            generation,
        } = subscription;
        if let Some(known) = self.wanted.get_mut(&channel) {
            // An older one may come back late from a connection that has ended.
            if known.generation < generation {
                *known = Wanted {
                    aliases,
                    generation,
                };
            }
            return;
        }
        if self.order.len() > 2 * self.wanted.len() + SPARE_PLACES {
            let wanted = &self.wanted;
            self.order.retain(|channel| wanted.contains_key(channel));
        }
        self.order.push_back(channel.clone());
        let wanted = Wanted {
            aliases,
            generation,
        };
        self.wanted.insert(channel, wanted);
    }

    /// Gives a subscription up. False if it was not there.
    pub(super) fn give_up(&mut self, channel: &str) -> bool {
        self.wanted.remove(channel).is_some()
    }

    /// Takes up to `most` of them out.
    pub(super) fn take(&mut self, most: usize) -> Vec<Subscription> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(channel) = self.order.pop_front()
        {
            if let Some(wanted) = self.wanted.remove(&channel) {
                taken.push(Subscription {
                    channel,
                    aliases: wanted.aliases,
                    generation: wanted.generation,
                });
            }
        }
        if self.wanted.is_empty() {
            // After the first moments of a connection there are never so many again.
            *self = Self::default();
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
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
    fn the_latest_request_counts_whichever_comes_last() {
        let mut pending = PendingSubscriptions::default();
        let first = Generation::default();
        pending.add([subscription("a", first), subscription("a", first.next())]);
        pending.add([subscription("a", first)]);
        assert_eq!(pending.take(9), [subscription("a", first.next())]);
    }

    #[test]
    fn channels_that_come_and_go_leave_no_places_behind() {
        let mut pending = PendingSubscriptions::default();
        for _ in 0..10 * SPARE_PLACES {
            pending.add([subscription("a", Generation::default())]);
            pending.give_up("a");
        }
        assert!(pending.order.len() <= SPARE_PLACES + 2);
    }
}
