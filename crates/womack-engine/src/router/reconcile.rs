//! Reconciles what the shards want with what Redis was asked for.

use std::{collections::HashSet, sync::Arc, time::Instant};

use tracing::warn;
use womack_ledger::ShardId;
use womack_proto::subscriber::{Epoch, Generation, Subscription};

use super::{Now, Output, Router, SubscriberRequest, routes::RouteChange};
use crate::{
    command::{Interests, ToShard},
    encoding::Topic,
};

impl Router {
    pub(super) fn reconcile_channel(
        &mut self,
        shard: ShardId,
        channel: &Arc<str>,
        now: Instant,
        out: &mut Output,
    ) {
        let interests = self.interests(shard, channel);
        let registry = &self.context.registry;
        let prefix = |topic: Topic| -> Box<[u8]> {
            let name = registry
                .channel(topic.namespace, channel)
                .unwrap_or_default();
            let path = &registry.get(topic.namespace).path;
            topic.encoding.prefix(path, name).into()
        };
        match self
            .routes
            .reconcile(shard, channel, &interests, prefix, now)
        {
            RouteChange::Unchanged => {}
            RouteChange::Subscribe(generation) => self.wanted.push((channel.clone(), generation)),
            RouteChange::Live(epoch) => out.send(shard, live(channel, interests, epoch)),
            RouteChange::Refused => out.send(shard, refused(channel, interests)),
        }
    }

    /// Redis has confirmed requests, over the connection with this epoch.
    pub(super) fn confirmed(
        &mut self,
        epoch: Epoch,
        channels: &[(Arc<str>, Generation)],
        now: Now,
        out: &mut Output,
    ) {
        for (channel, generation) in channels {
            if !self.routes.confirmed(channel, *generation, epoch) {
                continue;
            }
            self.tell_shards(channel, |interests| live(channel, interests, epoch), out);
            self.gaps.back(channel, now.instant);
        }
        self.end_gaps(now, out);
    }

    /// Redis has refused a request.
    pub(super) fn refused(
        &mut self,
        channel: &Arc<str>,
        generation: Generation,
        reason: &str,
        now: Now,
        out: &mut Output,
    ) {
        if !self.routes.refused(channel, generation, now.instant) {
            return;
        }
        self.context.metrics.redis.refused.inc();
        if let Some(held_back) = self.throttles.refusals.pass(now.instant) {
            warn!(
                %channel,
                reason,
                held_back,
                "redis refuses a channel: its subscribers get \"unavailable\", others are not \
                 concerned; it is asked for again after 60 s; allow it for the server's user (ACL \
                 SETUSER ... &PATTERN, for its key and for each --laravel-prefix and --emitter-key)"
            );
        }
        self.tell_shards(channel, |interests| refused(channel, interests), out);
        if self.context.config.is_cluster {
            // The subscriber remembers which node was asked.
            self.give_up(vec![channel.clone()], out);
        } else {
            let subscription = self.subscription(channel.clone(), Generation::default());
            self.gaps.forget(&names(&[subscription]));
        }
        self.end_gaps(now, out);
    }

    /// Sends the shards that want `channel` what `command` makes of their interests in it.
    fn tell_shards(
        &self,
        channel: &Arc<str>,
        command: impl Fn(Interests) -> ToShard,
        out: &mut Output,
    ) {
        let route = self.routes.get(channel);
        let shards = route.map(|(_, route)| route.shards()).unwrap_or_default();
        for shard in shards.iter() {
            // As the shard has them by now: what it did not have yet it marks later.
            let interests = self.interests(shard, channel);
            if !interests.is_empty() {
                out.send(shard, command(interests));
            }
        }
    }

    /// Requests the channels that are wanted.
    pub(super) fn request_wanted(&mut self, out: &mut Output) {
        if self.wanted.is_empty() {
            return;
        }
        let wanted = std::mem::take(&mut self.wanted).into_iter();
        let subscriptions =
            wanted.map(|(channel, generation)| self.subscription(channel, generation));
        let subscriptions = subscriptions.collect();
        out.requests
            .push(SubscriberRequest::Subscribe(subscriptions));
    }

    /// Forgets channels, and gives up what Redis was asked of them.
    pub(super) fn give_up(&mut self, channels: Vec<Arc<str>>, out: &mut Output) {
        let subscriptions: Vec<_> = channels
            .into_iter()
            .map(|channel| self.subscription(channel, Generation::default()))
            .collect();
        self.gaps.forget(&names(&subscriptions));
        out.requests.push(SubscriberRequest::GiveUp(subscriptions));
    }

    /// A channel with the names that publishers of other families have for it.
    fn subscription(&self, channel: Arc<str>, generation: Generation) -> Subscription {
        let context = &self.context;
        let aliases = context.families.aliases(&channel, &context.registry);
        Subscription {
            aliases: aliases.map(Arc::from).collect(),
            channel,
            generation,
        }
    }

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

/// Everything by which messages of channels come.
fn names(subscriptions: &[Subscription]) -> HashSet<Arc<str>> {
    let names = subscriptions.iter().flat_map(|subscription| {
        let aliases = subscription.aliases.iter();
        aliases.chain([&subscription.channel]).cloned()
    });
    names.collect()
}
