//! Channels that Redis has refused lately.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::RandomState;
use womack_ledger::{Charged, Ledger};

use crate::timeout_queue::TimeoutQueue;

/// The memory that a refusal takes beside the channel's name.
const REFUSAL_BYTES: usize = 160;

/// Time until a refused channel is asked for again.
const RETRY: Duration = Duration::from_secs(60);
/// Refused channels that are remembered. Beyond, each request for another asks Redis.
const MAX_REFUSALS: usize = 4096;

/// Channels that Redis has refused lately, so that it is not asked for them with each request.
pub(crate) struct Refusals {
    names: HashSet<Arc<str>, RandomState>,
    until: TimeoutQueue<Charged<Arc<str>>>,
    ledger: Ledger,
}

impl Refusals {
    /// Redis has refused none. Those that will be remembered are charged to `ledger`.
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            names: HashSet::default(),
            until: TimeoutQueue::new(RETRY),
            ledger: ledger.clone(),
        }
    }

    /// Redis has refused a channel.
    pub(crate) fn add(&mut self, channel: &Arc<str>, now: Instant) {
        self.expire(now);
        if self.names.len() < MAX_REFUSALS && self.names.insert(channel.clone()) {
            let bytes = REFUSAL_BYTES + channel.len();
            let channel = Charged::new(channel.clone(), bytes, &self.ledger);
            self.until.push(channel, now);
        }
    }

    /// Whether Redis has refused a channel lately.
    pub(crate) fn contains(&mut self, channel: &str, now: Instant) -> bool {
        self.expire(now);
        self.names.contains(channel)
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, channel)) = self.until.expire(now) {
            self.names.remove(&**channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_a_minute() {
        let (mut refusals, now) = (Refusals::new(&Ledger::default()), Instant::now());
        refusals.add(&"a".into(), now);
        refusals.add(&"a".into(), now + RETRY / 2);
        assert!(refusals.contains("a", now + RETRY / 2));
        assert!(!refusals.contains("b", now));
        assert!(!refusals.contains("a", now + RETRY));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut refusals, now) = (Refusals::new(&Ledger::default()), Instant::now());
        for number in 0..=MAX_REFUSALS {
            refusals.add(&number.to_string().into(), now);
        }
        assert!(refusals.contains("0", now));
        assert!(!refusals.contains(&MAX_REFUSALS.to_string(), now));
    }
}
