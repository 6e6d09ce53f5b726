//! Who would get a message on a channel, and what would keep it from them.

use serde::{Deserialize, Serialize};
use womack_proto::{Channel, NamespaceId};

use super::Surveyor;
use crate::context::ServerContext;

/// What one node knows of a channel.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Explanation {
    pub(crate) node: String,
    /// Why the node takes no new clients; then what is published may not reach it either.
    pub(crate) unready: Option<String>,
    pub(crate) channel: String,
    /// Why no client can subscribe to it.
    pub(crate) refused: Option<String>,
    pub(crate) namespaces: Vec<NamespaceExplanation>,
    /// Channels that have subscribers and nearly this name.
    pub(crate) alike: Vec<AlikeChannel>,
    /// Bytes that a published message may have.
    pub(crate) max_message_bytes: usize,
}

/// The channel in one namespace.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct NamespaceExplanation {
    pub(crate) path: String,
    /// What to publish on.
    pub(crate) redis_channel: String,
    /// How long messages wait for others that go out with them.
    pub(crate) coalesce_ms: u128,
    pub(crate) shards: Vec<ShardExplanation>,
}

/// Subscribers of one encoding in one shard.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ShardExplanation {
    pub(crate) shard: usize,
    pub(crate) encoding: String,
    pub(crate) subscribers: u64,
    /// Whether Redis has confirmed the channel.
    pub(crate) live: bool,
    pub(crate) messages: u32,
}

/// A channel with nearly the same name.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct AlikeChannel {
    pub(crate) redis_channel: String,
    pub(crate) subscribers: u64,
    /// What is between the two: `key`, `case`, `edge` or `spelling`.
    pub(crate) difference: String,
}

impl Explanation {
    /// Goes through all channels for those with nearly the same name, so it is no work for a
    /// shard's thread.
    pub(crate) fn new(
        channel: &str,
        node: String,
        unready: Option<&str>,
        server: &ServerContext,
        surveyor: &Surveyor,
    ) -> Self {
        let registry = &server.engine.registry;
        let namespaces: Vec<_> = registry
            .iter()
            .map(|(id, _)| namespace(id, channel, server, surveyor))
            .collect();
        let keys: Vec<&str> = registry
            .iter()
            .map(|(_, entry)| entry.key.as_str())
            .collect();
        // Both as clients call it and as a publisher may have written it.
        let mut alike = surveyor.alike(channel, &keys);
        alike.extend(surveyor.alike(&registry.redis_channel(NamespaceId(0), channel), &keys));
        alike.sort_by(|a, b| a.redis_channel.cmp(&b.redis_channel));
        alike.dedup_by(|a, b| a.redis_channel == b.redis_channel);
        // What is asked for is not like itself.
        alike.retain(|found| {
            let asked = |at: &NamespaceExplanation| at.redis_channel == *found.redis_channel;
            !namespaces.iter().any(asked)
        });
        let max_channel_bytes = server.config.limits.load().max_channel_bytes;
        let refused = Channel::parse(channel, max_channel_bytes).err();
        Self {
            node,
            unready: unready.map(str::to_owned),
            channel: channel.to_owned(),
            refused: refused.map(|error| error.to_string()),
            namespaces,
            alike: alike
                .into_iter()
                .map(|found| AlikeChannel {
                    subscribers: surveyor.load(&found.redis_channel).subscribers,
                    redis_channel: found.redis_channel.to_string(),
                    difference: found.difference.as_str().to_owned(),
                })
                .collect(),
            max_message_bytes: server.config.limits.load().max_message_bytes,
        }
    }
}

fn namespace(
    id: NamespaceId,
    channel: &str,
    server: &ServerContext,
    surveyor: &Surveyor,
) -> NamespaceExplanation {
    let redis_channel = server.engine.registry.redis_channel(id, channel);
    let entry = server.engine.registry.get(id);
    let mut shards = Vec::new();
    for (shard, topics) in surveyor.topics(&redis_channel).into_iter().enumerate() {
        for found in topics {
            if found.topic.namespace == id {
                shards.push(ShardExplanation {
                    shard,
                    encoding: found.topic.encoding.as_str().to_owned(),
                    subscribers: found.load.subscribers,
                    live: found.live,
                    messages: found.load.messages,
                });
            }
        }
    }
    NamespaceExplanation {
        path: entry.path.clone(),
        redis_channel: redis_channel.to_string(),
        coalesce_ms: entry.coalesce.as_millis(),
        shards,
    }
}
