//! Telling a poll that somebody repeats from the next one.
//!
//! When a connection is reset after the system has taken an answer, the client may have read it:
//! HAProxy resets its connections to servers that way although all is well. A client that has read
//! an answer polls again with another stamp. A proxy that has not repeats the same request.
//!
//! A request that was given up may also come late, through a busy shard, when its client has long
//! gone on with other stamps. Nobody would read its answer.

/// Stamps before the latest that are remembered.
const EARLIER: usize = 8;

/// The stamps of a session's latest polls.
#[derive(Debug)]
pub(crate) struct Repetitions {
    /// The stamp of the latest poll.
    latest: Option<u64>,
    /// Stamps of polls before it that were others, in a ring.
    earlier: [Option<u64>; EARLIER],
    /// The place in the ring of the next one.
    next: usize,
    /// The stamp that two polls in a row had last.
    repeated: Option<u64>,
    /// The stamp of the latest poll, if its answer may not have been read.
    unread: Option<u64>,
}

/// Whether an answer is known not to have reached its client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing says so.
    Open,
    /// Its poll was repeated.
    Lost,
}

impl Repetitions {
    pub(crate) const fn new() -> Self {
        Self {
            latest: None,
            earlier: [None; EARLIER],
            next: 0,
            repeated: None,
            unread: None,
        }
    }

    /// Whether a poll with this stamp was given up before later ones were made.
    pub(crate) fn is_late(&self, stamp: Option<u64>) -> bool {
        stamp.is_some() && stamp != self.latest && self.earlier.contains(&stamp)
    }

    /// Whether a poll was repeated.
    pub(crate) const fn has_any(&self) -> bool {
        self.repeated.is_some()
    }

    /// A poll came.
    pub(crate) fn poll(&mut self, stamp: Option<u64>) -> Verdict {
        let unread = self.unread.take();
        if stamp.is_some() && stamp == self.latest {
            self.repeated = stamp;
        } else if self.latest.is_some() {
            self.earlier[self.next] = self.latest;
            self.next = (self.next + 1) % EARLIER;
        }
        self.latest = stamp;
        match stamp.is_some() && stamp == unread {
            true => Verdict::Lost,
            false => Verdict::Open,
        }
    }

    /// The answer to the poll with this stamp may not have been read. Its repetition may have come
    /// before this report, or is still to come.
    pub(crate) fn unread(&mut self, stamp: u64) -> Verdict {
        if self.repeated == Some(stamp) {
            return Verdict::Lost;
        }
        if self.latest == Some(stamp) {
            self.unread = Some(stamp);
        }
        Verdict::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_counts_whether_it_comes_before_the_report_or_after_it() {
        let mut polls = Repetitions::new();
        assert_eq!(polls.poll(Some(1)), Verdict::Open);
        assert_eq!(polls.unread(1), Verdict::Open);
        assert_eq!(polls.poll(Some(1)), Verdict::Lost);
        let mut polls = Repetitions::new();
        for stamp in [1, 1, 2] {
            assert_eq!(polls.poll(Some(stamp)), Verdict::Open);
        }
        assert_eq!(polls.unread(1), Verdict::Lost);
    }

    #[test]
    fn a_poll_is_late_if_its_client_has_gone_on_to_others() {
        let mut polls = Repetitions::new();
        for stamp in 1..=4 {
            assert!(!polls.is_late(Some(stamp)));
            polls.poll(Some(stamp));
            assert!(!polls.is_late(Some(stamp)), "it may be repeated");
        }
        assert!((1..4).all(|stamp| polls.is_late(Some(stamp))));
        assert!(!polls.is_late(None));
        for stamp in 10..20 {
            polls.poll(Some(stamp));
        }
        assert!(!polls.is_late(Some(1)), "it is forgotten");
        assert!(polls.is_late(Some(18)));
    }

    #[test]
    fn a_client_that_goes_on_has_read_its_answers() {
        let mut polls = Repetitions::new();
        for stamp in 1..10 {
            assert_eq!(polls.poll(Some(stamp)), Verdict::Open);
            assert_eq!(polls.unread(stamp), Verdict::Open);
            assert_eq!(polls.unread(stamp - 1), Verdict::Open);
        }
        for _ in 0..2 {
            assert_eq!(polls.poll(None), Verdict::Open);
        }
    }
}
