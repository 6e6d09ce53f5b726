//! Messages on their way to the shards.

use std::{sync::Arc, time::Instant};

use tracing::warn;
use womack_proto::{
    Except,
    envelope::{self, Scratch},
    event_stream::EventId,
    freshness::Freshness,
    subscriber::{Event, Message},
};

use super::Running;
use crate::{
    command::{Delivery, Note, Published, ToShard, Topic},
    settings::SlowClient,
    sid::ShardId,
};

/// Bytes that are held back before they go out although their time has not come.
const MOST_HELD_BYTES: usize = 4 << 20;

/// Deliveries that are held back, in their order, so that each client is written to once for all.
#[derive(Default)]
pub(super) struct Held {
    deliveries: Vec<(ShardId, ToShard)>,
    bytes: usize,
    until: Option<Instant>,
}

impl Held {
    pub(super) fn push(&mut self, shard: ShardId, delivery: ToShard, bytes: usize, until: Instant) {
        self.deliveries.push((shard, delivery));
        self.bytes += bytes;
        let until = if self.bytes > MOST_HELD_BYTES {
            Instant::now()
        } else {
            until
        };
        self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
    }

    fn take(&mut self) -> Vec<(ShardId, ToShard)> {
        std::mem::take(self).deliveries
    }

    /// When the deliveries are to go out.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }
}

impl Running {
    /// Handles what the subscriber brings: mostly, messages for the shards that want them.
    pub(super) async fn handle_events(&mut self, events: &mut Vec<Event>) {
        let received = Instant::now();
        let mut messages = 0;
        for event in events.drain(..) {
            match event {
                Event::Message(message) => {
                    messages += 1;
                    if let Some(message) = self.hold(message).await {
                        self.route(&message, received).await;
                    }
                }
                Event::Live { epoch, channels } => self.confirmed(epoch, &channels).await,
                Event::Refused {
                    channel,
                    generation,
                    reason,
                } => self.refused(&channel, generation, &reason).await,
                Event::StaticRefused { name, reason } => self.static_refused(&name, &reason),
                Event::StaticLive => self.statics_back().await,
                Event::Connected => self.connected(),
                Event::Lost(loss) => self.lost(loss).await,
                Event::Failed(reason) => self.failed(reason),
            }
        }
        self.router
            .common
            .metrics
            .messages
            .received
            .inc_by(messages);
    }

    pub(super) async fn route(&mut self, message: &Message, received: Instant) {
        let (channel, payload) = (message.channel(), message.payload());
        if self.pass_on(channel, payload, received).await {
            return;
        }
        let common = self.router.common.clone();
        match common.families.origin(channel, &common.registry) {
            Some(origin) => {
                let by_pattern = message.is_by_pattern();
                self.obey(origin, by_pattern, payload, received).await;
            }
            None => {
                common.metrics.messages.unwanted.inc();
            }
        }
    }

    /// Hands a message of the server's own form to the shards that want it. False if `channel` is
    /// none that is known.
    pub(super) async fn pass_on(
        &mut self,
        channel: &str,
        payload: &[u8],
        received: Instant,
    ) -> bool {
        let common = &self.router.common;
        let Some((channel, route)) = self.routes.get(channel) else {
            return false;
        };
        // A message from before Redis has confirmed the whole request lies in a gap to be told, or
        // was promised to nobody: handed on, it would overtake the notice.
        if route.topics.is_empty() || !route.is_live() {
            common.metrics.messages.unwanted.inc();
            return true;
        }
        let most = common.config.limits.load().max_message_bytes;
        let except = match check(payload, most, &mut self.scratch) {
            Ok(except) => except,
            Err(reason) => {
                common.metrics.rejected(reason);
                if let Some(held_back) = self.rejections.pass(received) {
                    let bytes = payload.len();
                    warn!(%channel, reason, bytes, held_back, "a published message is dropped");
                }
                return true;
            }
        };
        self.number += 1;
        let id = EventId {
            node: common.sids.node,
            number: self.number,
        };
        let mut freshness = None;
        for known in &route.topics {
            let Topic {
                namespace,
                encoding,
            } = known.topic;
            let name = common.registry.channel(namespace, channel);
            let published = Published {
                channel: name.unwrap_or(channel),
                json: payload,
                id,
            };
            let bytes = encoding.message(&known.prefix, &published);
            let hold = common.registry.get(namespace).coalesce;
            let note = match common.registry.get(namespace).slow_client {
                SlowClient::Close | SlowClient::DropOldest => None,
                SlowClient::Latest => {
                    let fresh = freshness.get_or_insert_with(|| Freshness::of(payload));
                    note(channel, known.topic, fresh, received)
                }
            };
            for shard in known.shards.iter() {
                let delivery = ToShard::Deliver(Delivery {
                    channel: channel.clone(),
                    topic: known.topic,
                    bytes: bytes.clone(),
                    except: except.clone(),
                    note: note.clone(),
                    received,
                });
                if hold.is_zero() {
                    self.router.send(shard, delivery).await;
                    self.touched.set(shard, true);
                } else {
                    self.held
                        .push(shard, delivery, bytes.len(), received + hold);
                }
            }
        }
        true
    }

    /// Hands on what was held back so that it goes out together.
    pub(super) async fn release(&mut self) {
        for (shard, delivery) in self.held.take() {
            self.router.send(shard, delivery).await;
            self.touched.set(shard, true);
        }
    }
}

fn note(
    channel: &Arc<str>,
    topic: Topic,
    freshness: &Freshness,
    received: Instant,
) -> Option<Arc<Note>> {
    let note = || Note {
        channel: channel.clone(),
        topic,
        key: freshness.key.clone(),
        expires: freshness.ttl.and_then(|ttl| received.checked_add(ttl)),
    };
    (!freshness.is_empty()).then(|| Arc::new(note()))
}

/// Whether a payload may be passed on; if not, the reason as the metrics name it.
fn check(payload: &[u8], most: usize, scratch: &mut Scratch) -> Result<Except, &'static str> {
    if payload.len() > most {
        return Err("too_large");
    }
    envelope::check(payload, scratch).map_err(|error| error.as_str())
}
