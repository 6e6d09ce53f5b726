//! Polling sessions that have just ended, of whose clients something may still come.
//!
//! A client that leaves sends its last POST and a GET at one time, over two connections, and either
//! may come first. A GET that comes second is answered as if it had been there. A client whose
//! session the server has ended may send a last POST; it has done nothing wrong.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use womack_proto::payload::Format;

/// How much later than the goodbye a GET may come.
const PATIENCE: Duration = Duration::from_secs(1);
/// Goodbyes that are remembered at one time.
const MOST: usize = 1024;

/// Who has ended a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Farewell {
    /// Its client, whose answers are written like this.
    Client(Format),
    /// The server, whose client is to come again.
    Server,
}

/// The sessions that have just ended, each named by its secret.
#[derive(Default)]
pub(crate) struct Goodbyes {
    recent: VecDeque<(Instant, u64, Farewell)>,
}

impl Goodbyes {
    /// Remembers that a session has ended.
    pub(crate) fn remember(&mut self, secret: u64, farewell: Farewell, now: Instant) {
        while self
            .recent
            .front()
            .is_some_and(|(then, ..)| self.recent.len() == MOST || now > *then + PATIENCE)
        {
            self.recent.pop_front();
        }
        self.recent.push_back((now, secret, farewell));
    }

    /// Who has just ended a session, for whoever GETs from it. A client may do that once after its
    /// goodbye: the next one is too late.
    pub(crate) fn take(&mut self, secret: u64, now: Instant) -> Option<Farewell> {
        let at = self.position(secret, now)?;
        match self.recent[at].2 {
            Farewell::Server => Some(Farewell::Server),
            Farewell::Client(_) => self.recent.remove(at).map(|(_, _, farewell)| farewell),
        }
    }

    /// Whether the server has just ended a session.
    pub(crate) fn is_by_server(&self, secret: u64, now: Instant) -> bool {
        let at = self.position(secret, now);
        at.is_some_and(|at| self.recent[at].2 == Farewell::Server)
    }

    fn position(&self, secret: u64, now: Instant) -> Option<usize> {
        let mut recent = self.recent.iter();
        recent.position(|(then, known, _)| *known == secret && now <= *then + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Farewell = Farewell::Client(Format::Separated);

    #[test]
    fn one_get_that_comes_in_time_is_answered() {
        let (mut goodbyes, now) = (Goodbyes::default(), Instant::now());
        goodbyes.remember(1, LEFT, now);
        goodbyes.remember(2, LEFT, now);
        assert_eq!(goodbyes.take(3, now), None);
        assert_eq!(goodbyes.take(1, now), Some(LEFT));
        assert_eq!(goodbyes.take(1, now), None);
        assert_eq!(goodbyes.take(2, now + PATIENCE * 2), None);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut goodbyes, now) = (Goodbyes::default(), Instant::now());
        for secret in 0..=MOST as u64 {
            goodbyes.remember(secret, LEFT, now);
        }
        assert_eq!(goodbyes.recent.len(), MOST);
        assert_eq!(goodbyes.take(0, now), None);
        assert_eq!(goodbyes.take(1, now), Some(LEFT));
        goodbyes.remember(0, LEFT, now + PATIENCE * 2);
        assert_eq!(goodbyes.recent.len(), 1);
    }

    #[test]
    fn whoever_asks_for_what_the_server_has_ended_may_do_so_again() {
        let (mut goodbyes, now) = (Goodbyes::default(), Instant::now());
        goodbyes.remember(1, Farewell::Server, now);
        goodbyes.remember(2, LEFT, now);
        for _ in 0..2 {
            assert_eq!(goodbyes.take(1, now), Some(Farewell::Server));
            assert!(goodbyes.is_by_server(1, now));
        }
        assert!(!goodbyes.is_by_server(2, now));
        assert!(!goodbyes.is_by_server(1, now + PATIENCE * 2));
    }
}
