//! A request for several subscriptions at once, and what becomes of each.

use std::{collections::VecDeque, sync::Arc};

use ahash::RandomState;
use indexmap::IndexMap;
use womack_proto::subscriber::Subscription;

use crate::resp::Verb;

/// The replies came in another order than the commands, so that none can be trusted any more.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct OutOfOrder;

/// A request for several subscriptions at once.
///
/// It consists of one or more commands. Redis does a command for all of its names or refuses it
/// for all, so a refusal says nothing of a single name unless there is but one.
pub(super) struct Batch {
    requested: IndexMap<Arc<str>, Requested, RandomState>,
    steps: VecDeque<Step>,
    is_single: bool,
}

/// One of the subscriptions.
struct Requested {
    subscription: Subscription,
    outcome: Outcome,
}

/// The outcome of a request for one subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Nothing speaks against it so far.
    Live,
    /// Nobody wants it any more.
    GivenUp,
    /// A command that names it is refused, for this reason.
    Refused(Arc<str>),
    /// Its slot is not, or not for now, at this server.
    Elsewhere,
    /// The server is busy, and is to be asked again.
    Later,
}

/// A command, and the names that are still to be confirmed.
struct Step {
    verb: Verb,
    slot: Option<u16>,
    unconfirmed: VecDeque<Arc<str>>,
    /// Channels that the command is for; `None` for all of the batch.
    channels: Option<Vec<Arc<str>>>,
}

impl Batch {
    pub(super) fn new(subscriptions: Vec<Subscription>) -> Self {
        let requested = subscriptions.into_iter().map(|subscription| {
            let requested = Requested {
                outcome: Outcome::Live,
                subscription,
            };
            (requested.subscription.channel.clone(), requested)
        });
        Self {
            requested: requested.collect(),
            steps: VecDeque::new(),
            is_single: false,
        }
    }

    /// The request for a subscription that was refused together with others.
    pub(super) fn single(subscription: Subscription) -> Self {
        Self {
            is_single: true,
            ..Self::new(vec![subscription])
        }
    }

    pub(super) const fn is_single(&self) -> bool {
        self.is_single
    }

    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.requested.values().map(|found| &found.subscription)
    }

    /// Names of all subscriptions.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.subscriptions().flat_map(Subscription::names)
    }

    pub(super) fn len(&self) -> usize {
        self.requested.len()
    }

    /// Adds the command for the names of all subscriptions.
    pub(super) fn expect_names(&mut self) -> &VecDeque<Arc<str>> {
        let step = Step {
            verb: Verb::Subscribe,
            slot: None,
            unconfirmed: self.names().cloned().collect(),
            channels: None,
        };
        self.steps.push_back(step);
        &self.steps[self.steps.len() - 1].unconfirmed
    }

    /// Adds the command for the channels of one slot.
    pub(super) fn expect_slot(&mut self, slot: u16, channels: Vec<Arc<str>>) {
        self.steps.push_back(Step {
            verb: Verb::SubscribeShard,
            slot: Some(slot),
            unconfirmed: channels.iter().cloned().collect(),
            channels: Some(channels),
        });
    }

    /// Redis confirms a name.
    ///
    /// # Errors
    /// It is not the name whose turn it is.
    pub(super) fn confirmed(&mut self, verb: Verb, name: &[u8]) -> Result<(), OutOfOrder> {
        let step = self.steps.front_mut().ok_or(OutOfOrder)?;
        let expected = step.unconfirmed.pop_front().ok_or(OutOfOrder)?;
        if step.verb != verb || expected.as_bytes() != name {
            return Err(OutOfOrder);
        }
        if step.unconfirmed.is_empty() {
            self.steps.pop_front();
        }
        Ok(())
    }

    /// The verb and the slot of the command whose reply is due.
    pub(super) fn next(&self) -> Option<(Verb, Option<u16>)> {
        self.steps.front().map(|step| (step.verb, step.slot))
    }

    /// The command whose reply is due is refused, with this outcome for what it names.
    pub(super) fn refused(&mut self, outcome: &Outcome) {
        let Some(step) = self.steps.pop_front() else {
            return;
        };
        let mark = |requested: &mut Requested| {
            if requested.outcome != Outcome::GivenUp {
                requested.outcome = outcome.clone();
            }
        };
        match step.channels {
            None => self.requested.values_mut().for_each(mark),
            Some(channels) => {
                for channel in &channels {
                    if let Some(requested) = self.requested.get_mut(channel) {
                        mark(requested);
                    }
                }
            }
        }
    }

    /// Nobody wants the channel any more. False if it is not requested here.
    pub(super) fn give_up(&mut self, channel: &str) -> bool {
        let requested = self.requested.get_mut(channel);
        let wanted = requested.filter(|found| found.outcome != Outcome::GivenUp);
        wanted.is_some_and(|found| {
            found.outcome = Outcome::GivenUp;
            true
        })
    }

    /// The slot of a channel has moved away after it was confirmed. False if that is not so.
    pub(super) fn moved_away(&mut self, channel: &str) -> bool {
        let is_due = |step: &Step| {
            let mut names = step.unconfirmed.iter();
            step.slot.is_some() && names.any(|name| **name == *channel)
        };
        if self.steps.iter().any(is_due) {
            return false;
        }
        let requested = self.requested.get_mut(channel);
        let live = requested.filter(|found| found.outcome == Outcome::Live);
        live.is_some_and(|found| {
            found.outcome = Outcome::Elsewhere;
            true
        })
    }

    /// Whether all its commands are answered.
    pub(super) fn is_done(&self) -> bool {
        self.steps.is_empty()
    }

    /// The subscriptions with their outcomes, but for those that nobody wants any more.
    pub(super) fn into_outcomes(self) -> impl Iterator<Item = (Subscription, Outcome)> {
        let wanted = |found: &Requested| found.outcome != Outcome::GivenUp;
        let requested = self.requested.into_values().filter(wanted);
        requested.map(|found| (found.subscription, found.outcome))
    }
}
