//! Messages on their way to the shards.

use std::{sync::Arc, time::Instant};

use tracing::warn;
use womack_proto::{
    Except,
    envelope::{self, Scratch},
    event_stream::EventId,
    freshness::Freshness,
    subscriber::Message,
};

use super::{
    Arrival, Output, Router,
    held::{Held, HeldDelivery},
    rate_limit::namespaces,
    routes::TopicRoute,
};
use crate::{
    command::{Delivery, Note, ToShard},
    encoding::{Published, Topic},
    namespace::{Registry, SlowClient},
};

/// A message that is valid, on its way to the shards.
struct Accepted<'a> {
    channel: &'a Arc<str>,
    payload: &'a [u8],
    except: Except,
    id: EventId,
    received: Instant,
}

impl Router {
    pub(super) fn route(&mut self, message: &Message, arrival: Arrival, out: &mut Output) {
        let (channel, payload) = (message.channel(), message.payload());
        if self.traffic.busiest.count() {
            self.traffic.busiest.sample(channel, payload.len());
        }
        if self.forward(channel, payload, arrival, out) {
            return;
        }
        let context = self.context.clone();
        match context.families.origin(channel, &context.registry) {
            Some(origin) => {
                let by_pattern = message.is_by_pattern();
                self.obey(origin, by_pattern, payload, arrival, out);
            }
            None => {
                context.metrics.messages.unwanted.inc();
            }
        }
    }

    /// Hands a message of the server's own form to the shards that want it. False if `channel` is
    /// none that is known.
    pub(super) fn forward(
        &mut self,
        channel: &str,
        payload: &[u8],
        arrival: Arrival,
        out: &mut Output,
    ) -> bool {
        let context = &self.context;
        let Some((channel, route)) = self.routes.get(channel) else {
            return false;
        };
        // A message from before Redis has confirmed the whole request lies in a gap to be told, or
        // was promised to nobody: handed on, it would overtake the notice.
        if route.topics.is_empty() || !route.is_live() {
            context.metrics.messages.unwanted.inc();
            return true;
        }
        let topics = &route.topics;
        let dropped = self
            .traffic
            .limit(channel, namespaces(topics), payload.len(), arrival);
        let is_dropped = |known: &TopicRoute| dropped.contains(&known.topic.namespace);
        if topics.iter().all(is_dropped) {
            return true;
        }
        let received = arrival.at;
        let most = self.limits.max_message_bytes;
        let except = match check(payload, most, &mut self.scratch) {
            Ok(except) => except,
            Err(reason) => {
                let channel = channel.clone();
                self.reject(&channel, reason, payload.len(), received);
                return true;
            }
        };
        self.number += 1;
        let id = EventId {
            node: context.sids.node,
            number: self.number,
        };
        let accepted = Accepted {
            channel,
            payload,
            except,
            id,
            received,
        };
        let mut freshness = None;
        for known in topics.iter().filter(|known| !is_dropped(known)) {
            let held = &mut self.held;
            deliver(
                &accepted,
                known,
                &context.registry,
                &mut freshness,
                held,
                out,
            );
        }
        true
    }

    /// Drops a message, and says so.
    pub(super) fn reject(
        &mut self,
        channel: &str,
        reason: &'static str,
        bytes: usize,
        now: Instant,
    ) {
        self.context.metrics.rejected(reason);
        if let Some(held_back) = self.throttles.rejections.pass(now) {
            warn!(%channel, reason, bytes, held_back, "a published message is dropped");
        }
    }

    /// Hands on what was held back so that it goes out together.
    pub(super) fn release(&mut self, out: &mut Output) {
        out.commands.append(&mut self.held.take());
    }
}

/// Frames a message for a topic, and hands it to the shards that want it.
fn deliver(
    accepted: &Accepted<'_>,
    known: &TopicRoute,
    registry: &Registry,
    freshness: &mut Option<Freshness>,
    held: &mut Held,
    out: &mut Output,
) {
    let &Accepted {
        channel,
        payload,
        ref except,
        id,
        received,
    } = accepted;
    let Topic {
        namespace,
        encoding,
    } = known.topic;
    let name = registry.channel(namespace, channel);
    let published = Published {
        channel: name.unwrap_or(channel),
        json: payload,
        id,
    };
    let bytes = encoding.message(&known.prefix, &published);
    let entry = registry.get(namespace);
    let note = match entry.slow_client {
        SlowClient::Close | SlowClient::DropOldest => None,
        SlowClient::Latest => {
            let fresh = freshness.get_or_insert_with(|| Freshness::of(payload));
            note(channel, known.topic, fresh, received)
        }
    };
    for shard in known.shards.iter() {
        let command = ToShard::Deliver(Delivery {
            channel: channel.clone(),
            topic: known.topic,
            bytes: bytes.clone(),
            except: except.clone(),
            note: note.clone(),
            received,
        });
        if entry.coalesce.is_zero() {
            out.send(shard, command);
        } else {
            let delivery = HeldDelivery {
                shard,
                command,
                bytes: bytes.len(),
            };
            held.push(delivery, received + entry.coalesce, received);
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
