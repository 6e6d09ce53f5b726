//! What publishers of other families want, on its way to the shards.

use std::sync::Arc;

use tracing::{debug, warn};
use womack_ledger::Limit;
use womack_proto::{
    Channel, NamespaceId,
    publishers::{
        Action, Instruction, PublicationError, Selection, addressed, emitter, laravel, python,
    },
};

use super::{Arrival, Output, Router, held::HeldDelivery, routes::ShardSet};
use crate::{
    command::{Deed, Order, ToShard},
    publishers::Origin,
    sid::Sid,
};

/// Why an instruction is not followed.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Publication(#[from] PublicationError),
    #[error("too large")]
    TooLarge,
    #[error("too many channels")]
    TooManyChannels,
    #[error("not a channel's name")]
    BadChannel,
}

impl Refusal {
    /// The reason as a metric label.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Publication(error) => error.as_str(),
            Self::TooLarge => "too_large",
            Self::TooManyChannels => "too_many_channels",
            Self::BadChannel => "bad_channel",
        }
    }
}

impl Router {
    /// Does what a message of another family's form says.
    pub(super) fn obey(
        &mut self,
        origin: Origin<'_>,
        by_pattern: bool,
        payload: &[u8],
        arrival: Arrival,
        out: &mut Output,
    ) {
        if let Origin::Broadcast { path, room } = origin {
            // What is for a session comes by the pattern of its node, and once more where somebody
            // is in a channel of that name; some of all else matches the pattern, too.
            if by_pattern != Sid::parse_in(path, room).is_some() {
                return;
            }
        }
        let done = match origin {
            Origin::Juggernaut => self.spread(payload, arrival, out),
            _ => self.order(origin, payload, arrival, out),
        };
        let family = origin.family();
        let metrics = &self.context.metrics;
        let refusal = match done {
            Ok(()) => return metrics.messages.instructed(family),
            Err(refusal) => refusal,
        };
        metrics.rejected(refusal.as_str());
        if let Refusal::Publication(PublicationError::Unsupported) = refusal {
            // Servers that share the channels say much to one another.
            debug!(family, "a message that clients cannot be told");
        } else if let Some(held_back) = self.throttles.rejections.pass(arrival.at) {
            let (error, bytes) = (refusal, payload.len());
            warn!(family, %error, bytes, held_back, "a published message is dropped");
        }
    }

    /// Passes an envelope on that names its channels.
    fn spread(
        &mut self,
        payload: &[u8],
        arrival: Arrival,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        let context = self.context.clone();
        if payload.len() > self.limits.max_message_bytes {
            return Err(Refusal::TooLarge);
        }
        let addressed = addressed::decode(payload)?;
        if addressed.channels.len() > self.limits.max_channels_per_publish {
            context.metrics.limit(Limit::MaxChannelsPerPublish);
            return Err(Refusal::TooManyChannels);
        }
        for channel in addressed.channels {
            let channel = context.registry.redis_channel(NamespaceId(0), &channel);
            let envelope = addressed.envelope.as_bytes();
            if !self.forward(&channel, envelope, arrival, out) {
                context.metrics.messages.unwanted.inc();
            }
        }
        Ok(())
    }

    /// Hands an instruction to the shards that have clients whom it may mean.
    fn order(
        &mut self,
        origin: Origin<'_>,
        payload: &[u8],
        arrival: Arrival,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        let context = self.context.clone();
        if payload.len() > self.limits.max_message_bytes {
            return Err(Refusal::TooLarge);
        }
        let Instruction { clients, action } = decode(origin, payload)?;
        let Some(namespace) = context.rules.namespaces.id(&clients.namespace) else {
            context.metrics.messages.unwanted.inc();
            return Ok(());
        };
        let shards = self.shards_of(namespace, &clients);
        if shards.is_empty() {
            context.metrics.messages.unwanted.inc();
            return Ok(());
        }
        let most = self.limits.max_channel_bytes;
        let channels = |names: Vec<String>| {
            let channels = names.iter().map(|name| Channel::parse(name, most));
            channels
                .collect::<Result<_, _>>()
                .map_err(|_| Refusal::BadChannel)
        };
        let deed = match action {
            Action::Emit(emission) => Deed::Send(emission.frames(&clients.namespace)),
            Action::Join(names) => Deed::Join(channels(names)?),
            Action::Leave(names) => Deed::Leave(channels(names)?),
            Action::Disconnect { close } => Deed::Disconnect { close },
        };
        let bytes = match &deed {
            Deed::Send(frames) => frames.max_bytes(),
            _ => 0,
        };
        // Text can be longer as JSON than it was, and must fit into a client's queue.
        if bytes > self.limits.max_client_queue_bytes {
            return Err(Refusal::TooLarge);
        }
        if matches!(deed, Deed::Send(_))
            && self.is_over_limit(namespace, &clients, payload, arrival)
        {
            return Ok(());
        }
        let received = arrival.at;
        let order = Arc::new(Order {
            namespace,
            clients,
            deed,
            received,
        });
        let hold = context.registry.get(namespace).coalesce;
        for shard in shards.iter() {
            let order = ToShard::Order(order.clone());
            if hold.is_zero() {
                out.send(shard, order);
            } else {
                let delivery = HeldDelivery {
                    shard,
                    command: order,
                    bytes,
                };
                self.held.push(delivery, received + hold, received);
            }
        }
        Ok(())
    }

    /// Counts a message of another family for its namespace. True if that has had too many.
    fn is_over_limit(
        &mut self,
        namespace: NamespaceId,
        clients: &Selection,
        payload: &[u8],
        arrival: Arrival,
    ) -> bool {
        let registry = &self.context.registry;
        let rooms = clients.rooms.as_deref().unwrap_or_default();
        // All that is for a whole namespace, or for several rooms, counts as of one channel.
        let channel = match rooms {
            [room] => registry.redis_channel(namespace, room),
            _ => registry.redis_channel(namespace, ""),
        };
        let namespaces = [namespace].into_iter();
        let dropped = self
            .traffic
            .limit(&channel, namespaces, payload.len(), arrival);
        let is_dropped = !dropped.is_empty();
        if is_dropped {
            let rooms = rooms.iter();
            let channels = rooms.map(|room| registry.redis_channel(namespace, room));
            self.traffic.limits.add_dropped(namespace, channels);
        }
        is_dropped
    }

    /// The shards that may have clients who are meant.
    fn shards_of(&self, namespace: NamespaceId, clients: &Selection) -> ShardSet {
        let mut shards = ShardSet::default();
        let Some(rooms) = &clients.rooms else {
            self.shards().for_each(|shard| shards.set(shard, true));
            return shards;
        };
        for room in rooms {
            // Whoever knows the id of a session could be in a channel of its name.
            if let Some(sid) = Sid::parse_in(&clients.namespace, room) {
                if self.is_here(sid) {
                    shards.set(sid.shard, true);
                }
                continue;
            }
            let channel = self.context.registry.redis_channel(namespace, room);
            let topics = self.routes.get(&channel).map(|(_, route)| &route.topics);
            for known in topics.into_iter().flatten() {
                if known.topic.namespace == namespace {
                    known
                        .shards
                        .iter()
                        .for_each(|shard| shards.set(shard, true));
                }
            }
        }
        shards
    }

    /// Whether an id is one of this node's.
    fn is_here(&self, sid: Sid) -> bool {
        let is_ours = sid.node == self.context.sids.node;
        is_ours && usize::from(sid.shard.0) < self.channels.len()
    }
}

fn decode(origin: Origin<'_>, payload: &[u8]) -> Result<Instruction, PublicationError> {
    match origin {
        Origin::Broadcast { path, .. } => emitter::decode_broadcast(payload, path),
        Origin::Request { path } => emitter::decode_request(payload, path),
        Origin::Python => python::decode(payload),
        Origin::Laravel { channel } => laravel::decode(payload, channel),
        // It speaks of channels, and is not asked for here.
        Origin::Juggernaut => Err(PublicationError::Form),
    }
}
