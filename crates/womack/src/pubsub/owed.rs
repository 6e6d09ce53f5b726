//! The answers that Redis still owes, in the order in which they were asked for.

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use womack_proto::redis::Verb;

use super::Wish;

/// An answer that Redis owes. Subscriptions are confirmed name by name, of which `left` are missing.
pub(super) enum Answer {
    /// To the ping that was sent at this time.
    Pong(SystemTime),
    /// What is subscribed whoever is there.
    Standing { left: usize },
    /// Names of these wishes; a node of a cluster is asked for its shard's after that.
    Subscribed { left: usize, wishes: Vec<Wish> },
    /// Channels of one slot.
    SubscribedShard {
        left: usize,
        slot: u16,
        wishes: Vec<Wish>,
    },
    /// Names that are subscribed no more.
    Unsubscribed {
        left: usize,
        /// Channels that are lost with it, of which all was received that was published before.
        lost: Vec<Arc<str>>,
        since: SystemTime,
        /// Wishes that another node has to fulfil after it.
        elsewhere: Vec<Wish>,
    },
}

/// The answers that Redis still owes.
#[derive(Default)]
pub(super) struct Owed(VecDeque<Answer>);

impl Owed {
    pub(super) fn push(&mut self, answer: Answer) {
        self.0.push_back(answer);
    }

    /// A ping is answered. Returns when it was sent.
    pub(super) fn pong(&mut self) -> Option<SystemTime> {
        let at = self
            .0
            .iter()
            .position(|answer| matches!(answer, Answer::Pong(_)))?;
        match self.0.remove(at) {
            Some(Answer::Pong(sent)) => Some(sent),
            _ => None,
        }
    }

    /// One name is confirmed. Returns the answer that is complete with it.
    pub(super) fn confirmed(&mut self, verb: Verb) -> Option<Answer> {
        let at = self.0.iter().position(|answer| answer.is_by(verb))?;
        match self.0[at].confirm() {
            true => self.0.remove(at),
            false => None,
        }
    }

    /// A shard's channels are refused: those of `slot`, or the first that are asked for. Returns
    /// what was wished.
    pub(super) fn refused(&mut self, slot: Option<u16>) -> Option<Vec<Wish>> {
        let at = self.0.iter().position(|answer| match answer {
            Answer::SubscribedShard { slot: found, .. } => slot.is_none_or(|slot| slot == *found),
            _ => false,
        })?;
        match self.0.remove(at) {
            Some(Answer::SubscribedShard { wishes, .. }) => Some(wishes),
            _ => None,
        }
    }

    /// A wish that is about to be fulfilled is one no more. False if there was none.
    pub(super) fn forget(&mut self, channel: &str) -> bool {
        let found = self.0.iter_mut().find_map(|answer| {
            let Answer::SubscribedShard { wishes, .. } = answer else {
                return None;
            };
            let at = wishes.iter().position(|wish| *wish.channel == *channel)?;
            Some(wishes.swap_remove(at))
        });
        found.is_some()
    }

    /// Commands that ask for channels and were not answered to their end.
    pub(super) fn under_way(&self) -> usize {
        let asks = |answer: &&Answer| {
            matches!(
                answer,
                Answer::Standing { .. }
                    | Answer::Subscribed { .. }
                    | Answer::SubscribedShard { .. }
            )
        };
        self.0.iter().filter(asks).count()
    }

    /// What was wished and is not done.
    pub(super) fn into_wishes(self) -> impl Iterator<Item = Wish> {
        self.0.into_iter().flat_map(|answer| match answer {
            Answer::Subscribed { wishes, .. }
            | Answer::SubscribedShard { wishes, .. }
            | Answer::Unsubscribed {
                elsewhere: wishes, ..
            } => wishes,
            Answer::Pong(_) | Answer::Standing { .. } => Vec::new(),
        })
    }
}

impl Answer {
    /// Whether it is this that is confirmed by `verb`.
    const fn is_by(&self, verb: Verb) -> bool {
        match self {
            Self::Pong(_) => false,
            Self::Standing { .. } => matches!(verb, Verb::Subscribe | Verb::SubscribePattern),
            Self::Subscribed { .. } => matches!(verb, Verb::Subscribe),
            Self::SubscribedShard { .. } => matches!(verb, Verb::SubscribeShard),
            Self::Unsubscribed { .. } => matches!(verb, Verb::Unsubscribe),
        }
    }

    /// One more of its names is confirmed; true if that was the last.
    const fn confirm(&mut self) -> bool {
        let (Self::Standing { left }
        | Self::Subscribed { left, .. }
        | Self::SubscribedShard { left, .. }
        | Self::Unsubscribed { left, .. }) = self
        else {
            return false;
        };
        *left = left.saturating_sub(1);
        *left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(names: &[&str]) -> Vec<Wish> {
        let wish = |name: &&str| Wish {
            channel: (*name).into(),
            aliases: Vec::new(),
        };
        names.iter().map(wish).collect()
    }

    fn shard(slot: u16, names: &[&str]) -> Answer {
        Answer::SubscribedShard {
            left: names.len(),
            slot,
            wishes: wishes(names),
        }
    }

    #[test]
    fn confirmations_complete_the_first_answer_of_their_kind() {
        let mut owed = Owed::default();
        owed.push(Answer::Pong(SystemTime::UNIX_EPOCH));
        owed.push(Answer::Subscribed {
            left: 2,
            wishes: wishes(&["a", "b"]),
        });
        owed.push(shard(7, &["a"]));
        owed.push(shard(8, &["b"]));
        assert_eq!(owed.under_way(), 3);
        assert!(owed.confirmed(Verb::Unsubscribe).is_none());
        assert!(owed.confirmed(Verb::Subscribe).is_none());
        let done = owed.confirmed(Verb::Subscribe);
        assert!(matches!(done, Some(Answer::Subscribed { .. })));
        let done = owed.confirmed(Verb::SubscribeShard);
        assert!(matches!(
            done,
            Some(Answer::SubscribedShard { slot: 7, .. })
        ));
        assert_eq!(owed.pong(), Some(SystemTime::UNIX_EPOCH));
        assert_eq!(owed.pong(), None);
        assert_eq!(owed.under_way(), 1);
    }

    #[test]
    fn what_is_refused_or_not_done_is_still_wished() {
        let mut owed = Owed::default();
        owed.push(shard(7, &["a", "b"]));
        owed.push(shard(8, &["c"]));
        owed.push(Answer::Unsubscribed {
            left: 1,
            lost: Vec::new(),
            since: SystemTime::UNIX_EPOCH,
            elsewhere: wishes(&["d"]),
        });
        assert!(owed.forget("a") && !owed.forget("a"));
        assert_eq!(owed.refused(Some(9)), None);
        assert_eq!(owed.refused(Some(8)), Some(wishes(&["c"])));
        let left: Vec<_> = owed.into_wishes().collect();
        assert_eq!(left, wishes(&["b", "d"]));
    }
}
