//! The router: messages from Redis to the shards, what the shards want to Redis.
//!
//! Each message is looked up, checked and framed once, and handed to the shards that have
//! subscribers; a shard is woken once for all that was taken from the link at one go. What is
//! wanted is in the shards' maps, so nothing else is remembered when a part of the link breaks.

mod gaps;
mod instructions;
mod messages;
mod reconcile;

use std::{
    collections::VecDeque,
    future::{pending, ready},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{select, time::sleep_until};
use tracing::warn;
use womack_proto::{
    envelope::Scratch,
    subscriber::{Event, Generation, StaticSubscriptions},
};
use womack_redis::{Backend, RedisSubscriber, SubscriberConfig};

use self::messages::Held;
use crate::{
    command::{ToRouter, ToShard},
    engine::{DirtyChannels, OpenGaps},
    queue::{Receiver, Sender},
    routes::{Routes, ShardSet},
    shard::{ChannelsReader, Common},
    sid::ShardId,
    status::Status,
    throttle::Throttle,
};

/// Events taken from the link at one go: a burst's worth, so that shards are woken once, and few
/// enough that looks are not kept waiting.
const EVENTS_PER_BATCH: usize = 1024;
/// Channels that are looked at before messages have their turn again.
const CHANNELS_PER_LOOK: usize = 1024;
/// Channels that are given up at one go.
const CHANNELS_PER_COMMAND: usize = 1024;

/// What the router is made of.
pub(crate) struct Router {
    pub(crate) backend: Backend,
    pub(crate) queue: Receiver<ToRouter>,
    /// Channels that shards have marked to be looked at.
    pub(crate) dirty: Arc<DirtyChannels>,
    pub(crate) shards: Vec<Sender<ToShard>>,
    pub(crate) channels: Vec<ChannelsReader>,
    pub(crate) common: Arc<Common>,
    pub(crate) status: Arc<Status>,
}

impl Router {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let Common {
            config,
            families,
            metrics,
            ..
        } = &*self.common;
        let link = SubscriberConfig {
            statics: StaticSubscriptions {
                channels: families.fixed(),
                patterns: families.patterns().into_iter().map(Arc::from).collect(),
            },
            max_backlog_bytes: config.redis.backlog_bytes,
        };
        let backend = self.backend.clone();
        let running = Running {
            routes: Routes::new(config.unsubscribe_grace),
            subscriber: RedisSubscriber::open(backend, link, metrics.subscriber()),
            gaps: OpenGaps::new(config.redis.gap_hold_bytes, config.subscribe_timeout),
            trouble: None,
            commands: Vec::new(),
            marked: VecDeque::new(),
            wanted: Vec::new(),
            touched: ShardSet::default(),
            scratch: Scratch::default(),
            rejections: Throttle::new(Duration::from_secs(1)),
            failures: Throttle::new(Duration::from_secs(10)),
            refusals: Throttle::new(Duration::from_secs(60)),
            held: Held::default(),
            number: 0,
            router: self,
        };
        running.serve().await;
    }

    /// Puts `command` into the queue of `shard`, which is woken later, and waits for room if
    /// there is none: a shard waits for nobody, so it will make room.
    async fn send(&self, shard: ShardId, command: ToShard) {
        let sender = &self.shards[usize::from(shard.0)];
        if let Err(command) = sender.push(command) {
            self.common.metrics.redis.shard_queue_waits.inc();
            sender.push_waiting(command).await;
        }
    }
}

struct Running {
    router: Router,
    subscriber: RedisSubscriber,
    routes: Routes,
    gaps: OpenGaps,
    /// The reason why Redis, or a part of it, is not there.
    trouble: Option<String>,
    commands: Vec<ToRouter>,
    /// Channels that are to be looked at.
    marked: VecDeque<(ShardId, Arc<str>)>,
    /// Channels that are to be requested of Redis.
    wanted: Vec<(Arc<str>, Generation)>,
    /// Shards that have something to wake for.
    touched: ShardSet,
    scratch: Scratch,
    rejections: Throttle,
    failures: Throttle,
    refusals: Throttle,
    held: Held,
    /// How many messages were passed on.
    number: u64,
}

impl Running {
    async fn serve(mut self) {
        let mut events: Vec<Event> = Vec::new();
        loop {
            self.request_wanted();
            let (expiry, gaps) = (self.routes.next_expiry(), self.gaps.deadline());
            select! {
                () = self.subscriber.receive(&mut events, EVENTS_PER_BATCH) => {
                    self.handle_events(&mut events).await;
                }
                () = self.router.dirty.take(&mut self.marked), if self.marked.is_empty() => {}
                () = ready(()), if !self.marked.is_empty() => self.reconcile().await,
                () = self.router.queue.receive(&mut self.commands, EVENTS_PER_BATCH) => {
                    for command in self.commands.drain(..) {
                        let ToRouter::Beat(beat) = command;
                        beat.answer();
                    }
                }
                () = until(self.held.until()) => self.release().await,
                () = until(gaps) => self.end_gaps().await,
                () = until(expiry) => {
                    let expired = self.routes.expire(Instant::now(), CHANNELS_PER_COMMAND);
                    self.give_up(expired);
                    self.end_gaps().await;
                    self.count_channels();
                }
            }
            self.wake();
        }
    }

    /// Redis refuses a static subscription.
    fn static_refused(&self, name: &str, reason: &str) {
        warn!(
            name,
            reason,
            "redis refuses a channel that other publishers use: their messages do not arrive, all \
             others do; it is asked for again after 60 s; allow it for the server's user (ACL \
             SETUSER ... &PATTERN)"
        );
    }

    /// Hands the same to every shard.
    async fn tell_all(&mut self, command: impl Fn() -> ToShard) {
        for shard in (0..).map(ShardId).take(self.router.shards.len()) {
            self.router.send(shard, command()).await;
            self.touched.set(shard, true);
        }
        self.wake();
    }

    fn wake(&mut self) {
        for shard in std::mem::take(&mut self.touched).iter() {
            self.router.shards[usize::from(shard.0)].wake();
        }
    }

    fn count_channels(&self) {
        let count = i64::try_from(self.routes.len()).unwrap_or(i64::MAX);
        self.router.common.metrics.redis.channels.set(count);
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}
