//! How long to wait before the next try to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_millis(500);

/// The wait before the next try to connect, which grows with each that came to nothing.
#[derive(Debug, Default)]
pub struct Backoff {
    wait: Option<Duration>,
}

impl Backoff {
    /// A try came to nothing.
    pub fn failed(&mut self) {
        let wait = self.wait.map_or(FIRST, |wait| (wait * 2).min(LAST));
        self.wait = Some(wait);
    }

    /// A connection serves.
    pub fn succeeded(&mut self) {
        self.wait = None;
    }

    /// How long to wait, if at all. Half of it is random, so that nodes do not come back in step.
    pub fn wait(&self) -> Option<Duration> {
        let jitter = f64::from(random()) / f64::from(u32::MAX);
        self.wait.map(|wait| wait.mul_f64(0.5 + jitter / 2.0))
    }
}

#[cfg(not(feature = "simulation"))]
fn random() -> u32 {
    getrandom::u32().unwrap_or(0)
}

/// The next number that follows from the seed of this thread (`fastrand::seed`).
#[cfg(feature = "simulation")]
fn random() -> u32 {
    fastrand::u32(..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_until_a_connection_serves() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.wait(), None);
        backoff.failed();
        assert!((FIRST / 2..=FIRST).contains(&backoff.wait().unwrap()));
        for _ in 0..20 {
            backoff.failed();
        }
        assert!((LAST / 2..=LAST).contains(&backoff.wait().unwrap()));
        backoff.succeeded();
        assert_eq!(backoff.wait(), None);
    }
}
