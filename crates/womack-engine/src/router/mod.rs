//! The router: messages from Redis to the shards, subscriptions of the shards to Redis.
//!
//! Each message is looked up, checked and framed once, and handed to the shards that have
//! subscribers. The shards' maps say which channels are wanted, so the router remembers nothing
//! else when a part of the connection to Redis breaks.
//!
//! A [`Router`] does no I/O and reads no clock: every method takes the time, and writes the
//! commands and requests that follow into an [`Output`], which its driver empties.

mod busiest;
mod busy;
mod gaps;
mod held;
mod instructions;
mod message_limits;
mod messages;
mod namespace_counts;
mod open_gaps;
mod rate_limit;
mod received_to;
mod reconcile;
mod refusals;
mod routes;
mod traffic;
mod warnings;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tracing::warn;
use womack_ledger::ShardId;
use womack_proto::{
    envelope::Scratch,
    subscriber::{Event, Generation, StaticSubscriptions, Subscription},
};

pub use self::routes::ShardSet;
use self::{held::Held, open_gaps::OpenGaps, routes::Routes, traffic::Traffic};
use crate::{
    command::ToShard, context::Context, limits::Limits, shard::ChannelsReader, throttle::Throttle,
};

/// Channels that are given up at one go.
const CHANNELS_PER_COMMAND: usize = 1024;

/// The present, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By the clock that never goes back, for deadlines and lengths.
    pub instant: Instant,
    /// By the clock that clients know, for what they are told.
    pub wall: SystemTime,
}

impl Now {
    /// Reads both clocks. Only drivers do.
    pub fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

/// A request to the subscriber.
#[derive(Debug)]
pub enum SubscriberRequest {
    /// Request these channels.
    Subscribe(Vec<Subscription>),
    /// Give these channels up.
    GiveUp(Vec<Subscription>),
}

/// The results of a call of a [`Router`], in their order.
#[derive(Default)]
pub struct Output {
    /// Commands for shards.
    pub commands: Vec<(ShardId, ToShard)>,
    /// Requests to the subscriber.
    pub requests: Vec<SubscriberRequest>,
}

impl Output {
    fn send(&mut self, shard: ShardId, command: ToShard) {
        self.commands.push((shard, command));
    }
}

/// Passes messages to the shards, and asks Redis for the channels that they want.
pub struct Router {
    context: Arc<Context>,
    /// The reading halves of the shards' maps.
    channels: Vec<ChannelsReader>,
    routes: Routes,
    gaps: OpenGaps,
    /// The reason why Redis, or a part of it, is not there.
    trouble: Option<String>,
    /// Channels that are to be requested of Redis.
    wanted: Vec<(Arc<str>, Generation)>,
    held: Held,
    /// How many messages were passed on.
    number: u64,
    /// What is counted of the messages that come.
    traffic: Traffic,
    /// The limits, as they were when the batch began.
    limits: Limits,
    scratch: Scratch,
    throttles: Throttles,
}

/// The rates of lines in the log.
struct Throttles {
    rejections: Throttle,
    failures: Throttle,
    refusals: Throttle,
    rate_limits: Throttle,
}

/// When a message came.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Instant,
    /// Whether it has waited here for the end of a gap. Such messages are delivered whatever their
    /// namespace may have: how far earlier ones had been received is not known any more.
    was_held: bool,
}

impl Arrival {
    /// A message that has just come.
    const fn new(at: Instant) -> Self {
        Self {
            at,
            was_held: false,
        }
    }

    /// A message that waited until now.
    const fn held(at: Instant) -> Self {
        Self { at, was_held: true }
    }
}

impl Router {
    /// A router for the shards whose maps `channels` read.
    pub fn new(context: Arc<Context>, channels: Vec<ChannelsReader>) -> Self {
        let config = &context.config;
        Self {
            routes: Routes::new(config.unsubscribe_grace, context.memory.others()),
            gaps: OpenGaps::new(
                config.gap_hold_bytes,
                config.subscribe_timeout,
                context.memory.others(),
            ),
            trouble: None,
            wanted: Vec::new(),
            held: Held::default(),
            number: 0,
            traffic: Traffic::new(&context.registry, &context.metrics),
            limits: **config.limits.load(),
            scratch: Scratch::default(),
            throttles: Throttles {
                rejections: Throttle::new(Duration::from_secs(1)),
                failures: Throttle::new(Duration::from_secs(10)),
                refusals: Throttle::new(Duration::from_secs(60)),
                rate_limits: Throttle::new(Duration::from_secs(60)),
            },
            channels,
            context,
        }
    }

    /// The channels and patterns that are subscribed whoever is there.
    pub fn statics(&self) -> StaticSubscriptions {
        let families = &self.context.families;
        StaticSubscriptions {
            channels: families.fixed(),
            patterns: families.patterns().into_iter().map(Arc::from).collect(),
        }
    }

    /// A batch of events begins: reads the limits that may have changed.
    pub fn begin_batch(&mut self) {
        self.read_limits();
    }

    /// A batch of events that came at `now` has ended: counts its messages.
    pub fn end_batch(&mut self, now: Instant) {
        self.count_batch(now);
    }

    /// Handles an event of the subscriber.
    pub fn handle_event(&mut self, event: Event, now: Now, out: &mut Output) {
        match event {
            Event::Message(message) => {
                self.traffic.received += 1;
                if self.traffic.limits.is_over(now.instant) {
                    self.end_second(now, out);
                }
                if let Some(message) = self.hold(message, now, out) {
                    self.route(&message, Arrival::new(now.instant), out);
                }
            }
            Event::TooLong { channel, bytes } => {
                self.traffic.received += 1;
                self.reject(&channel, "too_large", bytes, now.instant);
            }
            Event::Live { epoch, channels } => self.confirmed(epoch, &channels, now, out),
            Event::Refused {
                channel,
                generation,
                reason,
            } => self.refused(&channel, generation, &reason, now, out),
            Event::StaticRefused { name, reason } => static_refused(&name, &reason),
            Event::StaticLive => self.statics_back(now, out),
            Event::Connected => self.connected(),
            Event::ReceivedTo { epoch, at } => self.traffic.received_to.set(epoch, at),
            Event::Lost(loss) => self.lost(loss, now, out),
            Event::Failed(reason) => self.failed(reason, now.instant),
        }
        self.request_wanted(out);
    }

    /// Reconciles channels that shards have marked.
    pub fn reconcile(
        &mut self,
        marked: impl IntoIterator<Item = (ShardId, Arc<str>)>,
        now: Instant,
        out: &mut Output,
    ) {
        for (shard, channel) in marked {
            self.reconcile_channel(shard, &channel, now, out);
        }
        self.count_channels();
        self.request_wanted(out);
    }

    /// When [`Router::handle_timeout`] is to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.held.until(),
            self.gaps.deadline(),
            self.routes.next_expiry(),
            self.traffic.limits.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Handles the deadlines that are over.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Output) {
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now.instant);
        // Messages may be routed here too.
        self.read_limits();
        if is_over(self.held.until()) {
            self.release(out);
        }
        if is_over(self.traffic.limits.deadline()) {
            self.end_second(now, out);
        }
        if is_over(self.routes.next_expiry()) {
            let expired = self.routes.expire(now.instant, CHANNELS_PER_COMMAND);
            self.give_up(expired, out);
            self.end_gaps(now, out);
            self.count_channels();
        } else if is_over(self.gaps.deadline()) {
            self.end_gaps(now, out);
        }
        self.request_wanted(out);
    }

    fn read_limits(&mut self) {
        self.limits = **self.context.config.limits.load();
    }

    /// Hands the same to every shard.
    fn tell_all(&self, command: impl Fn() -> ToShard, out: &mut Output) {
        for shard in self.shards() {
            out.send(shard, command());
        }
    }

    /// The numbers of all shards.
    fn shards(&self) -> impl Iterator<Item = ShardId> {
        (0..).map(ShardId).take(self.channels.len())
    }

    fn count_channels(&self) {
        let count = i64::try_from(self.routes.len()).unwrap_or(i64::MAX);
        self.context.metrics.redis.channels.set(count);
        self.context.channels.set_subscribed(self.routes.len());
    }
}

/// Redis refuses a static subscription.
fn static_refused(name: &str, reason: &str) {
    warn!(
        name,
        reason,
        "redis refuses a channel that other publishers use: their messages do not arrive, all \
         others do; it is asked for again after 60 s; allow it for the server's user (ACL \
         SETUSER ... &PATTERN)"
    );
}

#[cfg(test)]
mod tests;
