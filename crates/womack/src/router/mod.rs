//! The router: messages from Redis to the shards, what the shards want to Redis.
//!
//! Each message is looked up, checked and framed once, and handed to the shards that have
//! subscribers; a shard is woken once for all that was taken from the link at one go. What is
//! wanted is in the shards' maps, so nothing else is remembered when a part of the link breaks.

mod gaps;
mod instructions;
mod looks;
mod messages;

use std::{
    future::pending,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use tokio::{select, time::sleep_until};
use womack_proto::envelope::Scratch;

use self::{gaps::Gaps, messages::Held};
use crate::{
    backend::Backend,
    command::{ToRouter, ToShard},
    pubsub::{Event, Link, Standing, Wish},
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
const LOOKS_PER_BATCH: usize = 4096;
/// Channels that are given up at one go.
const CHANNELS_PER_COMMAND: usize = 1024;

/// What the router is made of.
pub(crate) struct Router {
    pub(crate) backend: Backend,
    pub(crate) queue: Receiver<ToRouter>,
    /// Set by a shard whose look found the queue full: every channel is to be looked at.
    pub(crate) look_at_all: Arc<AtomicBool>,
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
        let standing = Standing {
            channels: families.fixed(),
            patterns: families.patterns(),
        };
        let most = config.redis.backlog_bytes;
        let link = Link::open(self.backend.clone(), standing, most, metrics);
        link.restored();
        let running = Running {
            routes: Routes::new(config.unsubscribe_grace),
            link,
            gaps: Gaps::default(),
            looks: Vec::new(),
            wanted: Vec::new(),
            touched: ShardSet::default(),
            scratch: Scratch::default(),
            rejections: Throttle::new(Duration::from_secs(1)),
            failures: Throttle::new(Duration::from_secs(10)),
            held: Held::default(),
            number: 0,
            router: self,
        };
        running.serve().await;
    }

    /// Puts `command` into the queue of `shard`, which is woken later, and waits for room if
    /// there is none: a shard waits for nobody, so it will make room.
    async fn hand(&self, shard: ShardId, command: ToShard) {
        let sender = &self.shards[usize::from(shard.0)];
        if let Err(command) = sender.push(command) {
            self.common.metrics.redis.shard_queue_waits.inc();
            sender.push_waiting(command).await;
        }
    }
}

struct Running {
    router: Router,
    link: Link,
    routes: Routes,
    gaps: Gaps,
    looks: Vec<ToRouter>,
    /// Channels that Redis is to be asked for.
    wanted: Vec<Arc<str>>,
    /// Shards that have something to wake for.
    touched: ShardSet,
    scratch: Scratch,
    rejections: Throttle,
    failures: Throttle,
    held: Held,
    /// How many messages were passed on.
    number: u64,
}

impl Running {
    async fn serve(mut self) {
        let mut events: Vec<Event> = Vec::new();
        loop {
            if !self.wanted.is_empty() {
                let wanted = std::mem::take(&mut self.wanted);
                self.link.ask(self.wishes(&wanted));
            }
            let expiry = self.routes.next_expiry();
            select! {
                () = self.link.receive(&mut events, EVENTS_PER_BATCH) => {
                    self.take(&mut events).await;
                }
                () = self.router.queue.receive(&mut self.looks, LOOKS_PER_BATCH) => self.look().await,
                () = until(self.held.until()) => self.release().await,
                () = until(expiry) => {
                    let expired = self.routes.expire(Instant::now(), CHANNELS_PER_COMMAND);
                    if !expired.is_empty() {
                        self.link.give_up(self.wishes(&expired));
                        self.back(&expired).await;
                    }
                    self.count_channels();
                }
            }
            self.wake();
        }
    }

    /// `channels` with what else is published on for those who want them.
    fn wishes(&self, channels: &[Arc<str>]) -> Vec<Wish> {
        let Common {
            families, registry, ..
        } = &*self.router.common;
        let wishes = channels.iter().map(|channel| Wish {
            channel: channel.clone(),
            aliases: families.aliases(channel, registry).map(Arc::from).collect(),
        });
        wishes.collect()
    }

    /// Hands the same to every shard.
    async fn tell_all(&mut self, command: impl Fn() -> ToShard) {
        for shard in (0..).map(ShardId).take(self.router.shards.len()) {
            self.router.hand(shard, command()).await;
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
