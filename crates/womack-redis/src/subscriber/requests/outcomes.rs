//! Batches that are answered, and what becomes of their subscriptions.

use std::sync::Arc;

use womack_proto::subscriber::{Event, Generation, Subscription};

use super::{
    super::batch::Outcome,
    Requests,
    expected::{Expected, Then},
};

/// A subscription that Redis refuses.
struct Refused {
    subscription: Subscription,
    reason: Arc<str>,
}

impl Requests {
    /// Says what has become of the batch in front if all its commands are answered.
    pub(super) fn finish_batch(&mut self) {
        let Some(Expected::Batch(batch)) = self.expected.front() else {
            return;
        };
        if !batch.is_done() {
            return;
        }
        let Some(Expected::Batch(batch)) = self.expected.pop_front() else {
            return;
        };
        match batch.is_single() {
            true => self.singles_in_flight -= 1,
            false => self.batches -= 1,
        }
        let is_alone = batch.len() == 1;
        let (mut live, mut refused, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
        let mut later = Vec::new();
        for (subscription, outcome) in batch.into_outcomes() {
            match outcome {
                Outcome::Live => live.push(subscription),
                Outcome::Refused(reason) => refused.push(Refused {
                    subscription,
                    reason,
                }),
                Outcome::Elsewhere => elsewhere.push(subscription),
                Outcome::Later => later.push(subscription),
                Outcome::GivenUp => {}
            }
        }
        self.are_live(live);
        self.are_refused(refused, is_alone);
        self.end_halves(later.iter());
        self.pending.add(later);
        let names = names(&elsewhere);
        let then = Then {
            lost: None,
            elsewhere,
        };
        self.unsubscribe(&names, then);
    }

    fn are_live(&mut self, live: Vec<Subscription>) {
        if live.is_empty() {
            return;
        }
        self.forget_ends(&live);
        let channel = |found: &Subscription| (found.channel.clone(), found.generation);
        let channels: Vec<(Arc<str>, Generation)> = live.iter().map(channel).collect();
        if let Some(node) = &mut self.node {
            for name in live.iter().flat_map(Subscription::names) {
                node.ending.remove(name);
            }
            let live = live.into_iter();
            node.live
                .extend(live.map(|found| (found.channel, found.aliases)));
        }
        let epoch = self.epoch;
        self.events.push(Event::Live { epoch, channels });
    }

    fn are_refused(&mut self, refused: Vec<Refused>, is_alone: bool) {
        self.end_halves(refused.iter().map(|refused| &refused.subscription));
        for Refused {
            subscription,
            reason,
        } in refused
        {
            if is_alone {
                self.events.push(Event::Refused {
                    channel: subscription.channel,
                    generation: subscription.generation,
                    reason: reason.to_string(),
                });
            } else {
                self.singles.push_back(subscription);
            }
        }
    }

    /// Ends what may stand of subscriptions that were not done. A node has two commands for each,
    /// of which one may have been done.
    fn end_halves<'a>(&mut self, undone: impl Iterator<Item = &'a Subscription> + Clone) {
        if self.node.is_none() {
            return;
        }
        let channels = undone.clone().map(|found| found.channel.clone()).collect();
        let names: Vec<_> = undone.flat_map(Subscription::names).cloned().collect();
        self.unsubscribe_shards(channels);
        self.unsubscribe(&names, Then::default());
    }

    pub(super) fn static_done(&mut self) {
        self.statics_left = self.statics_left.saturating_sub(1);
        if self.statics_left == 0 {
            self.events.push(Event::StaticLive);
        }
    }
}

fn names(subscriptions: &[Subscription]) -> Vec<Arc<str>> {
    let names = subscriptions.iter().flat_map(Subscription::names);
    names.cloned().collect()
}
