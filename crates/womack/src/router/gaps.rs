//! Gaps: what Redis published and this server did not get, and when.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Instant, SystemTime},
};

use tracing::{info, warn};

use super::Running;
use crate::{
    command::{Gap, ToShard},
    pubsub::Loss,
};

/// The gaps that are open, and whether the link stands.
#[derive(Default)]
pub(super) struct Gaps {
    open: Vec<Open>,
    /// Whether shards may take the link for whole.
    is_linked: bool,
    /// Why the link, or a part of it, is not there.
    trouble: Option<String>,
}

/// A gap that has not ended.
struct Open {
    /// What was published before has been received.
    since: SystemTime,
    /// The channels concerned; `None` for all.
    channels: Option<Arc<HashSet<Arc<str>>>>,
    /// Those of them that are not back.
    left: HashSet<Arc<str>>,
}

impl Running {
    /// The link stands and everything wanted is subscribed.
    pub(super) async fn settled(&mut self) {
        self.gaps.trouble = None;
        let metrics = &self.router.common.metrics;
        metrics.redis.connected.set(1);
        if !std::mem::replace(&mut self.gaps.is_linked, true) {
            let whole = self
                .gaps
                .open
                .iter()
                .position(|open| open.channels.is_none());
            let ended = whole.map(|at| self.gaps.open.swap_remove(at));
            if ended.is_none() {
                info!("redis is subscribed");
            }
            self.tell_all(|| ToShard::Link(true)).await;
            if let Some(ended) = ended {
                self.end(ended).await;
            }
        }
        self.say_ready();
    }

    /// Some channels, or all, bring nothing until they are subscribed again.
    pub(super) async fn lost(&mut self, loss: Loss) {
        // What was received before is delivered.
        self.release().await;
        match loss.channels {
            None => self.lost_all(loss.since, &loss.reason).await,
            Some(channels) => self.lost_some(channels, loss.since, &loss.reason).await,
        }
        self.count_channels();
        self.say_ready();
    }

    async fn lost_all(&mut self, since: SystemTime, reason: &str) {
        self.gaps.trouble = Some(format!("redis is gone: {reason}"));
        self.wanted.clear();
        self.routes.unlinked();
        let wanted = self.routes.ask_for_all();
        self.link.ask(self.wishes(&wanted));
        self.link.restored();
        self.router.common.metrics.redis.connected.set(0);
        if !std::mem::take(&mut self.gaps.is_linked) {
            return;
        }
        self.router.common.metrics.redis.gaps.inc();
        let channels = self.routes.len();
        warn!(reason, channels, "redis is gone, clients stay connected");
        self.gaps.open.push(Open {
            since,
            channels: None,
            left: HashSet::new(),
        });
        self.tell_all(|| ToShard::Link(false)).await;
    }

    async fn lost_some(&mut self, channels: Vec<Arc<str>>, since: SystemTime, reason: &str) {
        let mut lost = channels;
        lost.retain(|channel| self.routes.lost(channel));
        if lost.is_empty() {
            return;
        }
        self.link.ask(self.wishes(&lost));
        self.router.common.metrics.redis.gaps.inc();
        let left: HashSet<_> = lost.into_iter().collect();
        let channels = Arc::new(left.clone());
        if let Some(held_back) = self.failures.pass(Instant::now()) {
            let channels = channels.len();
            warn!(
                reason,
                channels, held_back, "a part of redis is gone, clients stay connected"
            );
        }
        self.gaps.open.push(Open {
            since,
            channels: Some(channels.clone()),
            left,
        });
        self.tell_all(|| ToShard::Lost(channels.clone())).await;
    }

    /// Redis, or a part of it, cannot be reached.
    pub(super) fn failed(&mut self, reason: String) {
        self.router.common.metrics.redis.connected.set(0);
        self.gaps.trouble = Some(format!("redis cannot be reached: {reason}"));
        self.say_ready();
        if let Some(held_back) = self.failures.pass(Instant::now()) {
            warn!(error = %reason, held_back, "redis cannot be reached, trying again");
        }
    }

    /// These channels are live again, or nobody wants them any more.
    pub(super) async fn back(&mut self, channels: &[Arc<str>]) {
        if self.gaps.open.is_empty() {
            return;
        }
        for open in &mut self.gaps.open {
            for channel in channels {
                open.left.remove(channel);
            }
        }
        let is_over = |open: &mut Open| open.channels.is_some() && open.left.is_empty();
        let ended: Vec<_> = self.gaps.open.extract_if(.., is_over).collect();
        for gap in ended {
            self.end(gap).await;
        }
        self.say_ready();
    }

    /// A gap is over.
    async fn end(&mut self, gap: Open) {
        let to = SystemTime::now();
        let time = to.duration_since(gap.since).unwrap_or_default();
        let common = &self.router.common;
        common.metrics.redis.gap_seconds.inc_by(time.as_secs_f64());
        let gap_seconds = time.as_secs_f64();
        let all = self.routes.len();
        let channels = gap.channels.as_ref().map_or(all, |channels| channels.len());
        warn!(
            gap_seconds,
            channels, "redis is back; what was published meanwhile is lost"
        );
        let is_told = common.config.redis.gap_notices;
        let gap = Arc::new(Gap::new(gap.channels, gap.since, to));
        if is_told {
            self.tell_all(|| ToShard::Gap(gap.clone())).await;
        }
    }

    fn say_ready(&self) {
        let gaps = &self.gaps;
        let blind = || gaps.open.iter().map(|open| open.left.len()).sum::<usize>();
        let ready = match &gaps.trouble {
            Some(trouble) => Err(trouble.clone()),
            None if !gaps.is_linked => Err("redis is not subscribed".to_owned()),
            None if !gaps.open.is_empty() => {
                Err(format!("redis does not bring {} channels", blind()))
            }
            None => Ok(()),
        };
        self.router.status.set_redis(ready);
    }
}
