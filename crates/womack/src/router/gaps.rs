//! Losses of connections to Redis, and the gaps that come of them.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Instant, SystemTime},
};

use tracing::{info, warn};
use womack_proto::subscriber::{Loss, LossScope, Message};

use super::Running;
use crate::{
    command::{LostScope, ToShard},
    engine::{EndedGap, LostChannels},
    ledger::Limit,
    routes::Lost,
};

impl Running {
    /// Every server that is needed is connected.
    pub(super) fn connected(&mut self) {
        self.trouble = None;
        let metrics = &self.router.common.metrics;
        metrics.redis.connected.set(1);
        if self.gaps.is_empty() {
            info!("redis is connected");
        }
        self.update_readiness();
    }

    /// Something was live and is not until it is confirmed again.
    pub(super) async fn lost(&mut self, loss: Loss) {
        // All that was received before is delivered before.
        self.release().await;
        self.tell_gaps(true).await;
        match loss.scope {
            LossScope::Connection { epoch, statics } => {
                let lost = self.routes.lost_connection(epoch);
                let scope = LostScope::Connection(epoch);
                if !self.router.backend.is_cluster() {
                    self.trouble = Some(format!("redis is gone: {}", loss.reason));
                    self.router.common.metrics.redis.connected.set(0);
                }
                self.begin_gap(lost, scope, statics, loss.since, &loss.reason)
                    .await;
            }
            LossScope::Channels { epoch, channels } => {
                let lost = self.routes.lost_channels(epoch, channels);
                let wanted = lost.wanted.iter().map(|(channel, _)| channel.clone());
                let scope = LostScope::Channels(wanted.collect());
                self.begin_gap(lost, scope, false, loss.since, &loss.reason)
                    .await;
            }
        }
        self.count_channels();
        self.update_readiness();
    }

    async fn begin_gap(
        &mut self,
        lost: Lost,
        scope: LostScope,
        statics: bool,
        since: Instant,
        reason: &str,
    ) {
        let channels: HashSet<_> = lost
            .wanted
            .iter()
            .map(|(channel, _)| channel.clone())
            .collect();
        if !lost.unwanted.is_empty() {
            self.give_up(lost.unwanted);
        }
        self.wanted.extend(lost.wanted);
        let scope = Arc::new(scope);
        if channels.is_empty() && !statics {
            if matches!(*scope, LostScope::Connection(_)) {
                warn!(
                    reason,
                    "a connection to redis is gone, no channel was live over it"
                );
                self.tell_all(|| ToShard::Lost(None, scope.clone())).await;
            }
            return;
        }
        self.router.common.metrics.redis.gaps.inc();
        if let Some(held_back) = self.failures.pass(Instant::now()) {
            let channels = channels.len();
            warn!(
                reason,
                channels, held_back, "redis is gone, clients stay connected and receive nothing"
            );
        }
        let others = || self.routes.live().cloned().collect();
        let statics = statics.then(others);
        let loss = self.gaps.begin(LostChannels {
            channels,
            statics,
            since,
        });
        self.tell_all(|| ToShard::Lost(Some(loss), scope.clone()))
            .await;
    }

    /// Redis, or a part of it, cannot be reached.
    pub(super) fn failed(&mut self, reason: String) {
        self.router.common.metrics.redis.connected.set(0);
        self.trouble = Some(format!("redis cannot be reached: {reason}"));
        self.update_readiness();
        if let Some(held_back) = self.failures.pass(Instant::now()) {
            warn!(error = %reason, held_back, "redis cannot be reached, trying again");
        }
    }

    /// The static subscriptions are there again.
    pub(super) async fn statics_back(&mut self) {
        self.gaps.statics_back(Instant::now());
        self.end_gaps().await;
    }

    /// Keeps a message for the end of a gap that has to be told before it, or gives it back.
    pub(super) async fn hold(&mut self, message: Message) -> Option<Message> {
        if self.gaps.is_empty() || !self.router.common.config.redis.gap_notices {
            return Some(message);
        }
        let is_known = self.routes.get(message.channel()).is_some();
        let message = self.gaps.hold(message, is_known);
        if self.gaps.is_full() {
            let metrics = &self.router.common.metrics;
            metrics.limit(Limit::GapHoldBytes);
            self.tell_gaps(false).await;
        }
        message
    }

    /// Tells the gaps that are over, or that cannot wait any longer.
    pub(super) async fn end_gaps(&mut self) {
        if !self.gaps.is_empty() {
            self.tell_gaps(false).await;
            self.update_readiness();
        }
    }

    /// Tells gaps, and hands on the messages that waited for that. With `all`, whatever channel is
    /// back is told of.
    async fn tell_gaps(&mut self, all: bool) {
        let ended = self.gaps.end(Instant::now(), SystemTime::now(), all);
        if ended.is_empty() {
            return;
        }
        // Messages that were held back for other reasons are older.
        self.release().await;
        for gap in ended {
            self.tell_gap(gap).await;
        }
        let received = Instant::now();
        for message in self.gaps.release() {
            // Another gap may have to be told before it.
            let is_known = self.routes.get(message.channel()).is_some();
            if let Some(message) = self.gaps.hold(message, is_known) {
                self.route(&message, received).await;
            }
        }
    }

    async fn tell_gap(&mut self, ended: EndedGap) {
        let EndedGap { gap, length } = ended;
        let common = &self.router.common;
        if gap.is_last {
            common
                .metrics
                .redis
                .gap_seconds
                .inc_by(length.as_secs_f64());
        }
        let (gap_seconds, channels) = (length.as_secs_f64(), gap.channels.len());
        warn!(
            gap_seconds,
            channels, "redis is back; what was published meanwhile is lost"
        );
        if common.config.redis.gap_notices {
            let gap = Arc::new(gap);
            self.tell_all(|| ToShard::Gap(gap.clone())).await;
        }
    }

    pub(super) fn update_readiness(&self) {
        let connected = self.router.common.metrics.redis.connected.get() == 1;
        let ready = match &self.trouble {
            Some(trouble) => Err(trouble.clone()),
            None if !connected => Err("redis is not subscribed".to_owned()),
            None if !self.gaps.is_empty() => {
                let missing = self.gaps.missing();
                Err(format!("redis does not bring {missing} channels"))
            }
            None => Ok(()),
        };
        self.router.status.set_redis(ready);
    }
}
