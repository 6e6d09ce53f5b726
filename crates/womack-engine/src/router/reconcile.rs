//! Reconciles what the shards want with what Redis was asked for.

use std::{sync::Arc, time::Instant};

use tracing::warn;
use womack_proto::subscriber::{Epoch, Generation, Subscription};

use super::{CHANNELS_PER_LOOK, Router, Running};
use crate::{
    command::{Interests, ToShard, Topic},
    routes::RouteChange,
    sid::ShardId,
};

impl Running {
    /// Looks at some of the channels that shards have marked.
    pub(super) async fn reconcile(&mut self) {
        let now = Instant::now();
        for _ in 0..CHANNELS_PER_LOOK {
            let Some((shard, channel)) = self.marked.pop_front() else {
                break;
            };
            self.reconcile_channel(shard, &channel, now).await;
        }
        self.count_channels();
    }

    async fn reconcile_channel(&mut self, shard: ShardId, channel: &Arc<str>, now: Instant) {
        let interests = self.router.interests(shard, channel);
        let registry = &self.router.common.registry;
        let prefix = |topic: Topic| -> Box<[u8]> {
            let name = registry
                .channel(topic.namespace, channel)
                .unwrap_or_default();
            let path = &registry.get(topic.namespace).path;
            topic.encoding.prefix(path, name).into()
        };
        let routes = &mut self.routes;
        match routes.reconcile(shard, channel, &interests, prefix, now) {
            RouteChange::Unchanged => return,
            RouteChange::Subscribe(generation) => {
                return self.wanted.push((channel.clone(), generation));
            }
            RouteChange::Live(epoch) => {
                let live = live(channel, interests, epoch);
                self.router.send(shard, live).await;
            }
            RouteChange::Refused => {
                let refused = refused(channel, interests);
                self.router.send(shard, refused).await;
            }
        }
        self.touched.set(shard, true);
    }

    /// Redis has confirmed requests, over the connection with this epoch.
    pub(super) async fn confirmed(&mut self, epoch: Epoch, channels: &[(Arc<str>, Generation)]) {
        for (channel, generation) in channels {
            if !self.routes.confirmed(channel, *generation, epoch) {
                continue;
            }
            self.tell_shards(channel, |interests| live(channel, interests, epoch))
                .await;
            self.gaps.back(channel, Instant::now());
        }
        self.end_gaps().await;
    }

    /// Redis has refused a request.
    pub(super) async fn refused(
        &mut self,
        channel: &Arc<str>,
        generation: Generation,
        reason: &str,
    ) {
        let now = Instant::now();
        if !self.routes.refused(channel, generation, now) {
            return;
        }
        let metrics = &self.router.common.metrics;
        metrics.redis.refused.inc();
        if let Some(held_back) = self.refusals.pass(now) {
            warn!(
                %channel,
                reason,
                held_back,
                "redis refuses a channel: its subscribers get \"unavailable\", others are not \
                 concerned; it is asked for again after 60 s; allow it for the server's user (ACL \
                 SETUSER ... &PATTERN, for its key and for each --laravel-prefix and --emitter-key)"
            );
        }
        self.tell_shards(channel, |interests| refused(channel, interests))
            .await;
        if self.router.backend.is_cluster() {
            // The subscriber remembers which node was asked.
            self.give_up(vec![channel.clone()]);
        } else {
            self.gaps.forget(channel);
        }
        self.end_gaps().await;
    }

    /// Sends the shards that want `channel` what `command` makes of their interests in it.
    async fn tell_shards(&mut self, channel: &Arc<str>, command: impl Fn(Interests) -> ToShard) {
        let route = self.routes.get(channel);
        let shards = route.map(|(_, route)| route.shards()).unwrap_or_default();
        for shard in shards.iter() {
            // As the shard has them by now: what it did not have yet it marks later.
            let interests = self.router.interests(shard, channel);
            if !interests.is_empty() {
                self.router.send(shard, command(interests)).await;
                self.touched.set(shard, true);
            }
        }
    }

    /// Requests the channels that are wanted.
    pub(super) fn request_wanted(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        if !wanted.is_empty() {
            let subscriptions = wanted.into_iter();
            let subscriptions = subscriptions
                .map(|(channel, generation)| self.subscription(channel, generation))
                .collect();
            self.subscriber.subscribe(subscriptions);
        }
    }

    /// Forgets channels, and gives up what Redis was asked of them.
    pub(super) fn give_up(&mut self, channels: Vec<Arc<str>>) {
        for channel in &channels {
            self.gaps.forget(channel);
        }
        let subscriptions = channels
            .into_iter()
            .map(|channel| self.subscription(channel, Generation::default()))
            .collect();
        self.subscriber.give_up(subscriptions);
    }

    /// A channel with the names that publishers of other families have for it.
    fn subscription(&self, channel: Arc<str>, generation: Generation) -> Subscription {
        let common = &self.router.common;
        let aliases = common.families.aliases(&channel, &common.registry);
        Subscription {
            aliases: aliases.map(Arc::from).collect(),
            channel,
            generation,
        }
    }
}

impl Router {
    fn interests(&self, shard: ShardId, channel: &str) -> Interests {
        self.channels[usize::from(shard.0)].interests(channel)
    }
}

fn live(channel: &Arc<str>, interests: Interests, epoch: Epoch) -> ToShard {
    ToShard::Live {
        channel: channel.clone(),
        interests,
        epoch,
    }
}

fn refused(channel: &Arc<str>, interests: Interests) -> ToShard {
    ToShard::Refused {
        channel: channel.clone(),
        interests,
    }
}
