//! Warnings of channels and namespaces, each once in a while.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between two warnings of the same channel or namespace.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// Warnings in that time.
const MAX_WARNINGS: usize = 16;

/// The warnings of the last minute.
#[derive(Default)]
pub(super) struct Warnings {
    /// The names that were warned of, oldest first.
    recent: VecDeque<(Arc<str>, Instant)>,
    held_back: u64,
}

impl Warnings {
    /// Whether to warn of `name` at `now`; if so, how many warnings of other names were held back
    /// as there were too many.
    pub(super) fn pass(&mut self, name: &Arc<str>, now: Instant) -> Option<u64> {
        let is_over = |at: Instant| at + WARNING_INTERVAL <= now;
        while self.recent.front().is_some_and(|(_, at)| is_over(*at)) {
            self.recent.pop_front();
        }
        if self.recent.iter().any(|(known, _)| known == name) {
            return None;
        }
        if self.recent.len() >= MAX_WARNINGS {
            self.held_back += 1;
            return None;
        }
        self.recent.push_back((name.clone(), now));
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_warned_of_once_a_minute_and_only_so_many_are() {
        let (mut warnings, now) = (Warnings::default(), Instant::now());
        let name = |number: usize| Arc::from(number.to_string());
        for number in 0..MAX_WARNINGS {
            assert_eq!(warnings.pass(&name(number), now), Some(0));
            assert_eq!(warnings.pass(&name(number), now), None);
        }
        assert_eq!(warnings.pass(&name(99), now), None);
        let later = now + WARNING_INTERVAL;
        assert_eq!(warnings.pass(&name(0), later), Some(1));
        assert_eq!(warnings.recent.len(), 1);
    }
}
