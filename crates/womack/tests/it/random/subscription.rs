//! A channel as one session knows it.

use super::world::Publication;

/// A session's knowledge of a channel.
#[derive(Default)]
pub(super) struct Subscription {
    /// The last number that came.
    pub(super) last: u64,
    /// The first number that must come or be told as lost; `None` while nothing is promised.
    pub(super) floor: Option<u64>,
    pub(super) member: Member,
    /// The leaving was answered, and nobody asked for the channel since.
    pub(super) is_out: bool,
    /// The last request that left it.
    left: u64,
    /// Requests since then that subscribe.
    asked: u32,
    /// A channel of nobody else, published on only once the server has announced this client.
    is_fresh: bool,
    /// The times for which a gap was told.
    told: Vec<(u64, u64)>,
}

/// Whether a client is in a channel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Member {
    #[default]
    Out,
    In,
    /// It depends on answers that have not come, or on the order in which the server saw things.
    Unsure,
}

impl Subscription {
    /// A request asks for it.
    pub(super) fn asks(&mut self, acked: bool, is_fresh: bool) {
        self.asked += 1;
        self.is_out = false;
        self.is_fresh = is_fresh;
        if is_fresh {
            self.floor = Some(1);
        }
        // Without an acknowledgement nothing is taken back.
        let is_certain = !acked && self.asked == 1;
        if is_certain || self.member == Member::In {
            self.member = Member::In;
        } else {
            self.member = Member::Unsure;
        }
    }

    /// Request `number` leaves it.
    pub(super) fn leaves(&mut self, number: u64) {
        self.floor = None;
        self.member = Member::Out;
        self.left = number;
        self.asked = 0;
    }

    /// Request `number` was answered with `ok`: whatever is published from `floor` on comes.
    pub(super) fn is_live(&mut self, number: u64, floor: u64) {
        if self.left < number {
            self.member = Member::In;
            self.floor.get_or_insert(floor);
        }
    }

    /// Request `number`, which left it, was answered.
    pub(super) fn has_left(&mut self, number: u64) {
        self.is_out = self.left == number && self.asked == 0;
    }

    /// Request `number`, which asked for it, was refused.
    pub(super) fn is_refused(&mut self, number: u64) {
        // An `ok` for another request stays true.
        let is_promised = self.floor.is_some() && !self.is_fresh;
        if self.left > number || is_promised {
            return;
        }
        self.floor = None;
        self.member = match self.asked {
            1 => Member::Out,
            _ => Member::Unsure,
        };
    }

    /// A gap was told: Unix milliseconds.
    pub(super) fn tells(&mut self, from: u64, to: u64) {
        self.told.push((from, to));
    }

    /// Whether a number that did not come may have been published in a gap that was told. One of
    /// which Redis did not say that it was published counts as told.
    pub(super) fn explains(&self, publication: Publication) -> bool {
        let Publication {
            before,
            after,
            receivers,
        } = publication;
        let (Some(after), Some(_)) = (after, receivers) else {
            return true;
        };
        let covers = |&(from, to): &(u64, u64)| from <= after + 1 && before <= to + 1;
        self.told.iter().any(covers)
    }

    /// The gaps that were told.
    pub(super) fn told(&self) -> &[(u64, u64)] {
        &self.told
    }

    /// Whether it was asked for since it was last left.
    pub(super) const fn is_asked_for(&self) -> bool {
        self.asked > 0
    }
}

#[test]
fn an_answer_to_a_request_before_the_last_leaving_promises_nothing() {
    let mut channel = Subscription::default();
    channel.asks(true, false);
    channel.leaves(2);
    channel.is_live(1, 5);
    assert_eq!((channel.floor, channel.member), (None, Member::Out));
    channel.asks(true, false);
    channel.is_live(3, 7);
    assert_eq!((channel.floor, channel.member), (Some(7), Member::In));
}

#[test]
fn a_refusal_takes_back_no_promise_of_another_request() {
    let mut channel = Subscription::default();
    channel.asks(true, false);
    channel.asks(true, false);
    channel.is_live(2, 7);
    channel.is_refused(1);
    assert_eq!((channel.floor, channel.member), (Some(7), Member::In));
}

#[test]
fn a_number_is_explained_only_by_a_gap_of_its_time() {
    let mut channel = Subscription::default();
    let published = |before, receivers| Publication {
        before,
        after: Some(before + 1),
        receivers,
    };
    channel.tells(100, 200);
    assert!(channel.explains(published(150, Some(0))));
    assert!(!channel.explains(published(210, Some(1))));
    assert!(channel.explains(published(210, None)));
}
