//! What the shards want, compared with what Redis was asked for.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::{Router, Running};
use crate::{
    command::{ToRouter, ToShard, Topic, Topics},
    routes::Looked,
    sid::ShardId,
};

impl Running {
    /// Looks at the channels that shards asked to be looked at.
    pub(super) async fn look(&mut self) {
        let now = Instant::now();
        let mut looks = std::mem::take(&mut self.looks);
        for look in looks.drain(..) {
            match look {
                ToRouter::Look { shard, channel } => self.look_at(shard, &channel, now).await,
                ToRouter::Beat(beat) => beat.answer(),
            }
        }
        self.looks = looks;
        if self.router.look_at_all.swap(false, Ordering::AcqRel) {
            self.look_at_all(now).await;
        }
        self.count_channels();
        self.wake();
    }

    async fn look_at_all(&mut self, now: Instant) {
        let mut channels = self.routes.channels();
        for reader in &self.router.channels {
            channels.extend(reader.names());
        }
        channels.sort_unstable();
        channels.dedup();
        for channel in &channels {
            for shard in (0..).map(ShardId).take(self.router.shards.len()) {
                self.look_at(shard, channel, now).await;
            }
        }
    }

    async fn look_at(&mut self, shard: ShardId, channel: &Arc<str>, now: Instant) {
        let topics = self.router.channels[usize::from(shard.0)].topics(channel);
        let registry = &self.router.common.registry;
        let prefix = |topic: Topic| -> Box<[u8]> {
            let name = registry
                .channel(topic.namespace, channel)
                .unwrap_or_default();
            let path = &registry.get(topic.namespace).path;
            topic.encoding.prefix(path, name).into()
        };
        match self.routes.look(shard, channel, &topics, prefix, now) {
            Looked::Unchanged => {}
            Looked::Subscribe => self.wanted.push(channel.clone()),
            Looked::Live => {
                self.router.live(shard, channel, topics).await;
                self.touched.set(shard, true);
            }
        }
    }

    /// Redis has confirmed these channels.
    pub(super) async fn confirmed(&mut self, channels: &[Arc<str>]) {
        for channel in channels {
            let Some(route) = self.routes.confirmed(channel) else {
                continue;
            };
            for shard in (0..).map(ShardId).take(self.router.shards.len()) {
                let topics: Topics = route
                    .topics
                    .iter()
                    .filter(|known| known.shards.contains(shard))
                    .map(|known| known.topic)
                    .collect();
                if topics.is_empty() {
                    continue;
                }
                self.router.live(shard, channel, topics).await;
                self.touched.set(shard, true);
            }
        }
        self.wake();
        self.back(channels).await;
    }
}

impl Router {
    /// Tells `shard` that what is published on `channel` arrives.
    async fn live(&self, shard: ShardId, channel: &Arc<str>, topics: Topics) {
        let channel = channel.clone();
        self.hand(shard, ToShard::Live { channel, topics }).await;
    }
}
