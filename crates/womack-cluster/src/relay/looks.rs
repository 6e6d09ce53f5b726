//! When the relay looks at what waits.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Looks at what waits within the time that another node has to answer.
const LOOKS: u32 = 4;

/// Looks at what waits, often enough for a time-out and for the `return_time` that other nodes have
/// to come back.
pub(super) fn looks(timeout: Duration, return_time: Duration) -> Interval {
    let mut looks = interval((timeout / LOOKS).min(return_time / 8));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}
