//! Polling sessions that have just ended themselves while no GET of theirs was waiting.
//!
//! A client sends its last POST and a GET at one time, over two connections, and either may come
//! first. A GET that comes second is answered as if it had been there.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use womack_proto::payload::Format;

/// How much later than the goodbye a GET may come.
const PATIENCE: Duration = Duration::from_secs(1);
/// Goodbyes that are remembered at one time.
const MOST: usize = 1024;

/// The sessions that have just ended, each named by its secret.
#[derive(Default)]
pub(crate) struct Goodbyes {
    recent: VecDeque<(Instant, u64, Format)>,
}

impl Goodbyes {
    /// Remembers that a session has ended, and how its answers are written.
    pub(crate) fn remember(&mut self, secret: u64, format: Format, now: Instant) {
        while self
            .recent
            .front()
            .is_some_and(|(then, ..)| self.recent.len() == MOST || now > *then + PATIENCE)
        {
            self.recent.pop_front();
        }
        self.recent.push_back((now, secret, format));
    }

    /// How a GET for a session that has just ended is answered. Once: the next one is too late.
    pub(crate) fn take(&mut self, secret: u64, now: Instant) -> Option<Format> {
        let at = self
            .recent
            .iter()
            .position(|(then, known, _)| *known == secret && now <= *then + PATIENCE)?;
        self.recent.remove(at).map(|(_, _, format)| format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_get_that_comes_in_time_is_answered() {
        let (mut goodbyes, now) = (Goodbyes::default(), Instant::now());
        goodbyes.remember(1, Format::Separated, now);
        goodbyes.remember(2, Format::Separated, now);
        assert_eq!(goodbyes.take(3, now), None);
        assert_eq!(goodbyes.take(1, now), Some(Format::Separated));
        assert_eq!(goodbyes.take(1, now), None);
        assert_eq!(goodbyes.take(2, now + PATIENCE * 2), None);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut goodbyes, now) = (Goodbyes::default(), Instant::now());
        for secret in 0..=MOST as u64 {
            goodbyes.remember(secret, Format::Separated, now);
        }
        assert_eq!(goodbyes.recent.len(), MOST);
        assert_eq!(goodbyes.take(0, now), None);
        assert_eq!(goodbyes.take(1, now), Some(Format::Separated));
        goodbyes.remember(0, Format::Separated, now + PATIENCE * 2);
        assert_eq!(goodbyes.recent.len(), 1);
    }
}
