//! A shard's pulse: how late it comes to its timers, and how much it runs.

use std::time::{Duration, Instant};

use tokio::time::sleep_until;
use womack_engine::ShardMetrics;

/// Between two beats: often enough to see a stall, and seldom enough to cost an idle shard nothing.
const BEAT: Duration = Duration::from_millis(250);

/// Beats for as long as it is polled, on the thread that it is about.
pub(crate) async fn beat(metrics: ShardMetrics) {
    let mut due = Instant::now() + BEAT;
    loop {
        sleep_until(due.into()).await;
        let now = Instant::now();
        metrics.lag.observe(now.saturating_duration_since(due));
        let ran = cpu_seconds() - metrics.cpu_seconds.get();
        metrics.cpu_seconds.inc_by(ran.max(0.0));
        due = now + BEAT;
    }
}

/// For how long this thread has run.
#[cfg(target_os = "linux")]
fn cpu_seconds() -> f64 {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Elsewhere it is not known.
#[cfg(not(target_os = "linux"))]
fn cpu_seconds() -> f64 {
    0.0
}
