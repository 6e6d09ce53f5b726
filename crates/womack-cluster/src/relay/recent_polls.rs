//! Polls that were answered a short while ago.

use std::time::{Duration, Instant};

use womack_engine::{Sid, Ticket, TimeoutQueue};
use womack_proto::relay::AnswerLoss;

use super::{ordered::Map, place::Place};

/// How long it may take until an ingress says that nobody waits for an answer any more. Longer than
/// a link lasts that brings nothing.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How long before a node was last heard its clients may have been answered without a word of what
/// became of the answer: a loss is noticed that quickly.
const SILENCE: Duration = Duration::from_secs(1);

/// The sessions of polls that were answered, or given up, a short while ago: their answers may be
/// lost on their way.
pub(super) struct RecentPolls {
    /// By ingress, and by what that calls them.
    tickets: Map<u32, Map<u64, Ticket>>,
    polls: TimeoutQueue<RecentPoll>,
}

/// A poll that was answered, or given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RecentPoll {
    pub(super) place: Place,
    pub(super) sid: Sid,
    /// As `womack_proto::Handshake::stamp`.
    pub(super) stamp: Option<u64>,
    /// When it was answered.
    pub(super) answered: Instant,
}

impl RecentPoll {
    /// What is to be said of the answer when its ingress is gone, which was last heard at `heard`: it
    /// has said nothing of the answer that has come, and nothing will.
    pub(super) fn loss(&self, heard: Option<Instant>) -> Option<AnswerLoss> {
        match heard {
            // It may have been gone before the poll came: a request travels on alone. Its client has
            // gone on with other stamps then, so nothing that follows tells that it has the answer.
            Some(heard) if heard <= self.answered => Some(AnswerLoss::Certain),
            _ => self.loss_unless_read(heard),
        }
    }

    /// What is to be said of the answer when the link is lost at `now`, and with it what the ingress
    /// may have said. An ingress that lives says it again.
    pub(super) fn loss_with_link(&self, now: Instant) -> Option<AnswerLoss> {
        self.loss_unless_read(Some(now))
    }

    fn loss_unless_read(&self, heard: Option<Instant>) -> Option<AnswerLoss> {
        match self.stamp {
            // A client that has its answer polls with another stamp.
            Some(stamp) => Some(AnswerLoss::IfRepeated(stamp)),
            None => heard
                .is_none_or(|heard| self.answered + SILENCE >= heard)
                .then_some(AnswerLoss::Certain),
        }
    }
}

impl Default for RecentPolls {
    fn default() -> Self {
        Self {
            tickets: Map::default(),
            polls: TimeoutQueue::new(REMEMBERED),
        }
    }
}

impl RecentPolls {
    /// A poll has had its answer.
    pub(super) fn add(&mut self, poll: RecentPoll) {
        let (ingress, number) = poll.place;
        let ticket = self.polls.push(poll, poll.answered);
        self.tickets
            .entry(ingress)
            .or_default()
            .insert(number, ticket);
    }

    /// Takes out the session of the poll at `place`.
    pub(super) fn remove(&mut self, place: Place) -> Option<Sid> {
        let ticket = self.forget(place)?;
        self.polls.remove(ticket).map(|poll| poll.sid)
    }

    /// Takes out all polls that came by way of `ingress`.
    pub(super) fn remove_all_of(&mut self, ingress: u32) -> Vec<RecentPoll> {
        let tickets = self.tickets.swap_remove(&ingress).unwrap_or_default();
        let tickets = tickets.into_values();
        tickets
            .filter_map(|ticket| self.polls.remove(ticket))
            .collect()
    }

    /// All polls.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RecentPoll> {
        self.polls.iter()
    }

    /// The nodes by way of which polls came.
    pub(super) fn ingresses(&self) -> impl Iterator<Item = u32> {
        self.tickets.keys().copied()
    }

    /// Forgets polls of long ago.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, poll)) = self.polls.expire(now) {
            self.forget(poll.place);
        }
    }

    fn forget(&mut self, (ingress, number): Place) -> Option<Ticket> {
        let tickets = self.tickets.get_mut(&ingress)?;
        let ticket = tickets.swap_remove(&number);
        if tickets.is_empty() {
            self.tickets.swap_remove(&ingress);
        }
        ticket
    }
}

#[cfg(test)]
mod tests {
    use womack_engine::{ConnectionId, ShardId};

    use super::*;

    const SID: Sid = Sid {
        node: 1,
        shard: ShardId(0),
        slot: ConnectionId(0),
        secret: 1,
    };

    #[test]
    fn polls_are_known_by_their_ingress_until_they_are_taken_out_or_old() {
        let (mut polls, start) = (RecentPolls::default(), Instant::now());
        let poll = |place| RecentPoll {
            place,
            sid: SID,
            stamp: None,
            answered: start,
        };
        for place in [(1, 1), (1, 2), (2, 1)] {
            polls.add(poll(place));
        }
        assert_eq!(polls.ingresses().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(polls.remove((2, 1)), Some(SID));
        assert_eq!(polls.remove((2, 1)), None);
        assert_eq!(polls.ingresses().collect::<Vec<_>>(), [1]);
        assert_eq!(polls.remove_all_of(1), [poll((1, 1)), poll((1, 2))]);
        assert_eq!(polls.remove_all_of(1), []);
        polls.add(poll((3, 1)));
        polls.expire(start + REMEMBERED);
        assert_eq!(polls.ingresses().count(), 0);
    }

    fn answered(stamp: Option<u64>) -> RecentPoll {
        RecentPoll {
            place: (1, 1),
            sid: SID,
            stamp,
            answered: Instant::now(),
        }
    }

    #[test]
    fn an_answer_is_lost_with_its_node_if_nothing_was_heard_since() {
        let later = Duration::from_millis(1);
        for (stamp, heard, loss) in [
            (Some(7), None, Some(AnswerLoss::IfRepeated(7))),
            (Some(7), Some(later), Some(AnswerLoss::IfRepeated(7))),
            (Some(7), Some(Duration::ZERO), Some(AnswerLoss::Certain)),
            (None, None, Some(AnswerLoss::Certain)),
            (None, Some(SILENCE), Some(AnswerLoss::Certain)),
            (None, Some(SILENCE * 2), None),
        ] {
            let poll = answered(stamp);
            let heard = heard.map(|heard| poll.answered + heard);
            assert_eq!(poll.loss(heard), loss, "{stamp:?} {heard:?}");
        }
    }

    #[test]
    fn an_answer_with_a_stamp_outlives_the_link_unless_its_poll_is_repeated() {
        for (stamp, passed, loss) in [
            (Some(7), Duration::ZERO, Some(AnswerLoss::IfRepeated(7))),
            (None, SILENCE, Some(AnswerLoss::Certain)),
            (None, SILENCE * 2, None),
        ] {
            let poll = answered(stamp);
            let found = poll.loss_with_link(poll.answered + passed);
            assert_eq!(found, loss, "{stamp:?} {passed:?}");
        }
    }
}
