//! Losses of connections to Redis, and the gaps that come of them.

use std::{collections::HashSet, sync::Arc, time::Instant};

use tracing::{info, warn};
use womack_ledger::Limit;
use womack_proto::subscriber::{Loss, LossScope, Message};

use super::{
    Arrival, Now, Output, Router,
    open_gaps::{EndedGap, LostChannels},
    routes::Lost,
};
use crate::{
    command::{LostScope, ToShard},
    coverage::Coverage,
};

impl Router {
    /// Every server that is needed is connected.
    pub(super) fn connected(&mut self) {
        self.trouble = None;
        let metrics = &self.context.metrics;
        metrics.redis.connected.set(1);
        if self.gaps.is_empty() {
            info!("redis is connected");
        }
        self.update_coverage();
    }

    /// Something was live and is not until it is confirmed again.
    pub(super) fn lost(&mut self, loss: Loss, now: Now, out: &mut Output) {
        // All that was received before is delivered before.
        self.release(out);
        self.tell_gaps(true, now, out);
        let scope = match loss.scope {
            LossScope::Connection { epoch, statics } => {
                self.traffic.received_to.remove(epoch);
                if !self.context.config.is_cluster {
                    self.trouble = Some(format!("redis is gone: {}", loss.reason));
                    self.context.metrics.redis.connected.set(0);
                }
                BegunGap {
                    lost: self.routes.lost_connection(epoch),
                    scope: LostScope::Connection(epoch),
                    statics,
                }
            }
            LossScope::Channels { epoch, channels } => {
                let lost = self.routes.lost_channels(epoch, channels);
                let wanted = lost.wanted.iter().map(|(channel, _)| channel.clone());
                BegunGap {
                    scope: LostScope::Channels(wanted.collect()),
                    lost,
                    statics: false,
                }
            }
        };
        self.begin_gap(scope, loss.since, &loss.reason, now.instant, out);
        self.count_channels();
        self.update_coverage();
    }

    fn begin_gap(
        &mut self,
        begun: BegunGap,
        since: Instant,
        reason: &str,
        now: Instant,
        out: &mut Output,
    ) {
        let BegunGap {
            lost,
            scope,
            statics,
        } = begun;
        let channels: HashSet<_> = lost
            .wanted
            .iter()
            .map(|(channel, _)| channel.clone())
            .collect();
        if !lost.unwanted.is_empty() {
            self.give_up(lost.unwanted, out);
        }
        self.wanted.extend(lost.wanted);
        let scope = Arc::new(scope);
        if channels.is_empty() && !statics {
            if matches!(*scope, LostScope::Connection(_)) {
                warn!(
                    reason,
                    "a connection to redis is gone, no channel was live over it"
                );
                self.tell_all(|| ToShard::Lost(None, scope.clone()), out);
            }
            return;
        }
        self.context.metrics.redis.gaps.inc();
        if let Some(held_back) = self.throttles.failures.pass(now) {
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
        self.tell_all(|| ToShard::Lost(Some(loss), scope.clone()), out);
    }

    /// Redis, or a part of it, cannot be reached.
    pub(super) fn failed(&mut self, reason: String, now: Instant) {
        self.context.metrics.redis.connected.set(0);
        self.trouble = Some(format!("redis cannot be reached: {reason}"));
        self.update_coverage();
        if let Some(held_back) = self.throttles.failures.pass(now) {
            warn!(error = %reason, held_back, "redis cannot be reached, trying again");
        }
    }

    /// The static subscriptions are there again.
    pub(super) fn statics_back(&mut self, now: Now, out: &mut Output) {
        self.gaps.statics_back(now.instant);
        self.end_gaps(now, out);
    }

    /// Keeps a message for the end of a gap that has to be told before it, or gives it back.
    pub(super) fn hold(&mut self, message: Message, now: Now, out: &mut Output) -> Option<Message> {
        if self.gaps.is_empty() || !self.context.config.gap_notices {
            return Some(message);
        }
        let is_known = self.routes.get(message.channel()).is_some();
        let message = self.gaps.hold(message, is_known);
        if self.gaps.is_full() {
            let metrics = &self.context.metrics;
            metrics.limit(Limit::GapHoldBytes);
            self.tell_gaps(false, now, out);
        }
        message
    }

    /// Tells the gaps that are over, or that cannot wait any longer.
    pub(super) fn end_gaps(&mut self, now: Now, out: &mut Output) {
        if !self.gaps.is_empty() {
            self.tell_gaps(false, now, out);
            self.update_coverage();
        }
    }

    /// Tells gaps, and hands on the messages that waited for that. With `all`, whatever channel is
    /// back is told of.
    fn tell_gaps(&mut self, all: bool, now: Now, out: &mut Output) {
        let ended = self.gaps.end(now.instant, now.wall, all);
        if ended.is_empty() {
            return;
        }
        // Messages that were held back for other reasons are older.
        self.release(out);
        for gap in ended {
            self.tell_gap(gap, out);
        }
        for message in self.gaps.release() {
            // Another gap may have to be told before it.
            let is_known = self.routes.get(message.channel()).is_some();
            if let Some(message) = self.gaps.hold(message, is_known) {
                self.route(&message, Arrival::held(now.instant), out);
            }
        }
    }

    fn tell_gap(&self, ended: EndedGap, out: &mut Output) {
        let EndedGap {
            gap,
            length,
            is_last,
        } = ended;
        let context = &self.context;
        if is_last {
            context
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
        if context.config.gap_notices {
            let gap = Arc::new(gap);
            self.tell_all(|| ToShard::Gap(gap.clone()), out);
        }
    }

    fn update_coverage(&self) {
        let connected = self.context.metrics.redis.connected.get() == 1;
        let coverage = match &self.trouble {
            Some(trouble) => Coverage::Incomplete(trouble.clone()),
            None if !connected => Coverage::Incomplete("redis is not subscribed".to_owned()),
            None if !self.gaps.is_empty() => {
                let missing = self.gaps.missing();
                Coverage::Incomplete(format!("redis does not bring {missing} channels"))
            }
            None => Coverage::Complete,
        };
        self.context.coverage.set(coverage);
    }
}

/// A gap that begins.
struct BegunGap {
    lost: Lost,
    scope: LostScope,
    /// Whether the static subscriptions are lost too.
    statics: bool,
}
