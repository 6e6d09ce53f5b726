//! The router: messages from Redis to the shards, what the shards want to Redis.
//!
//! Each message is looked up, checked and framed once, and handed to the shards that have
//! subscribers; a shard is woken once for all that one read of the link brought. A link that
//! breaks is made again; what is wanted is in the shards' maps, so nothing else is remembered.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{Msg, RedisResult};
use tokio::{
    select,
    time::{sleep, sleep_until},
};
use tracing::{info, warn};
use womack_proto::{
    Except,
    envelope::{self, Scratch},
    frame,
};

use crate::{
    command::{Delivery, ToRouter, ToShard, Topic, Topics},
    pubsub::{Asks, Link},
    queue::{Receiver, Sender},
    routes::{Looked, Routes, ShardSet},
    shard::{ChannelsReader, Common},
    sid::ShardId,
    status::Status,
    throttle::Throttle,
};

/// Messages taken from the link at one go: a burst's worth, so that shards are woken once, and
/// few enough that looks are not kept waiting.
const MESSAGES_PER_BATCH: usize = 1024;
const LOOKS_PER_BATCH: usize = 4096;
/// Channels in one command to Redis.
const CHANNELS_PER_COMMAND: usize = 1024;
/// SUBSCRIBE commands under way at one time. What comes meanwhile is gathered for the next one.
const COMMANDS_UNDER_WAY: usize = 2;
/// Time between the checks that Redis still answers.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// What the router is made of.
pub(crate) struct Router {
    pub(crate) url: String,
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
        let mut running = Running {
            routes: Routes::new(self.common.config.unsubscribe_grace),
            looks: Vec::new(),
            wanted: Vec::new(),
            touched: ShardSet::default(),
            scratch: Scratch::default(),
            rejections: Throttle::new(Duration::from_secs(1)),
            router: self,
        };
        let mut lost_at: Option<Instant> = None;
        loop {
            let link = running.connect().await;
            running.serve(link, lost_at).await;
            // Marks the beginning of the gap before anything else is done about it.
            lost_at = Some(Instant::now());
            running.unlinked().await;
        }
    }
}

impl Router {
    /// Puts `command` into the queue of `shard`, which is woken later, and waits for room if
    /// there is none: a shard waits for nobody, so it will make room.
    async fn hand(&self, shard: ShardId, command: ToShard) {
        let sender = &self.shards[usize::from(shard.0)];
        if let Err(command) = sender.push(command) {
            self.common.metrics.shard_queue_waits.inc();
            sender.push_waiting(command).await;
        }
    }
}

struct Running {
    router: Router,
    routes: Routes,
    looks: Vec<ToRouter>,
    /// Channels that Redis is to be asked for.
    wanted: Vec<Arc<str>>,
    /// Shards that have something to wake for.
    touched: ShardSet,
    scratch: Scratch,
    rejections: Throttle,
}

/// What Redis answered to a command.
enum Answer {
    Subscribed(Vec<Arc<str>>, RedisResult<()>),
    Unsubscribed(RedisResult<()>),
    Pinged(RedisResult<()>),
}

type Answers = FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>;

impl Running {
    /// Connects, trying again and again; meanwhile the table follows the shards.
    async fn connect(&mut self) -> Link {
        let mut retry = FIRST_RETRY;
        let mut failures = Throttle::new(Duration::from_secs(10));
        loop {
            let url = self.router.url.clone();
            let mut connecting = Box::pin(Link::connect(&url));
            let connected = loop {
                select! {
                    connected = &mut connecting => break connected,
                    () = self.router.queue.receive(&mut self.looks, LOOKS_PER_BATCH) => self.look().await,
                }
            };
            let error = match connected {
                Ok(link) => return link,
                Err(error) => error,
            };
            if let Some(held_back) = failures.pass(Instant::now()) {
                warn!(%error, held_back, "redis cannot be reached, trying again");
            }
            // Half of the wait is random, so that nodes do not come back in step.
            let jitter = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
            let mut wait = Box::pin(sleep(retry.mul_f64(0.5 + jitter / 2.0)));
            loop {
                select! {
                    () = &mut wait => break,
                    () = self.router.queue.receive(&mut self.looks, LOOKS_PER_BATCH) => self.look().await,
                }
            }
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    /// Serves until the link is lost.
    async fn serve(&mut self, mut link: Link, lost_at: Option<Instant>) {
        let mut answers = Answers::new();
        let mut under_way = 0;
        let mut messages: Vec<Msg> = Vec::new();
        let mut restored = false;
        self.wanted.append(&mut self.routes.ask_for_all());
        answers.push(ping(link.asks.clone(), Duration::ZERO));
        loop {
            while under_way < COMMANDS_UNDER_WAY && !self.wanted.is_empty() {
                let at = self.wanted.len().saturating_sub(CHANNELS_PER_COMMAND);
                let mut channels = self.wanted.split_off(at);
                // Some may have been given up while they waited here.
                channels.retain(|channel| self.routes.is_asked(channel));
                if !channels.is_empty() {
                    answers.push(subscribe(link.asks.clone(), channels));
                    under_way += 1;
                }
            }
            if !restored && under_way == 0 {
                restored = true;
                self.linked(lost_at).await;
            }
            let expiry = self.routes.next_expiry();
            select! {
                alive = link.receive(&mut messages, MESSAGES_PER_BATCH) => {
                    if !alive {
                        return;
                    }
                    self.route(&mut messages).await;
                }
                () = self.router.queue.receive(&mut self.looks, LOOKS_PER_BATCH) => self.look().await,
                Some(answer) = answers.next() => match answer {
                    Answer::Subscribed(channels, Ok(())) => {
                        under_way -= 1;
                        self.confirmed(&channels).await;
                    }
                    Answer::Pinged(Ok(())) => answers.push(ping(link.asks.clone(), PING_INTERVAL)),
                    Answer::Unsubscribed(Ok(())) => {}
                    Answer::Subscribed(_, Err(error))
                    | Answer::Unsubscribed(Err(error))
                    | Answer::Pinged(Err(error)) => {
                        warn!(%error, "redis does not answer");
                        return;
                    }
                },
                () = until(expiry) => {
                    let expired = self.routes.expire(Instant::now(), CHANNELS_PER_COMMAND);
                    if !expired.is_empty() {
                        answers.push(unsubscribe(link.asks.clone(), expired));
                    }
                    self.count_channels();
                }
            }
            self.wake();
        }
    }

    /// The link stands and everything wanted is subscribed.
    async fn linked(&mut self, lost_at: Option<Instant>) {
        let metrics = &self.router.common.metrics;
        metrics.redis_connected.set(1);
        self.router.status.set_redis(true);
        match lost_at {
            Some(lost_at) => {
                let gap = lost_at.elapsed();
                metrics.redis_gap_seconds.inc_by(gap.as_secs_f64());
                warn!(
                    gap_seconds = gap.as_secs_f64(),
                    channels = self.routes.len(),
                    "redis is back; what was published meanwhile is lost"
                );
            }
            None => info!("redis is subscribed"),
        }
        self.tell_all(true).await;
    }

    /// The link is gone.
    async fn unlinked(&mut self) {
        warn!(
            channels = self.routes.len(),
            "redis is gone, clients stay connected"
        );
        self.router.common.metrics.redis_connected.set(0);
        self.router.common.metrics.redis_gaps.inc();
        self.router.status.set_redis(false);
        self.wanted.clear();
        self.routes.unlinked();
        self.count_channels();
        self.tell_all(false).await;
    }

    async fn tell_all(&mut self, linked: bool) {
        for shard in (0..).map(ShardId).take(self.router.shards.len()) {
            self.router.hand(shard, ToShard::Link(linked)).await;
            self.touched.set(shard, true);
        }
        self.wake();
    }

    async fn look(&mut self) {
        let now = Instant::now();
        let mut looks = std::mem::take(&mut self.looks);
        for ToRouter::Look { shard, channel } in looks.drain(..) {
            self.look_at(shard, &channel, now).await;
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
            frame::event_prefix(&registry.get(topic.namespace).path, name).into()
        };
        match self.routes.look(shard, channel, &topics, prefix, now) {
            Looked::Unchanged => {}
            Looked::Subscribe => self.wanted.push(channel.clone()),
            Looked::Live => {
                self.router
                    .hand(
                        shard,
                        ToShard::Live {
                            channel: channel.clone(),
                            topics,
                        },
                    )
                    .await;
                self.touched.set(shard, true);
            }
        }
    }

    async fn confirmed(&mut self, channels: &[Arc<str>]) {
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
                self.router
                    .hand(
                        shard,
                        ToShard::Live {
                            channel: channel.clone(),
                            topics,
                        },
                    )
                    .await;
                self.touched.set(shard, true);
            }
        }
        self.wake();
    }

    /// Hands every message to the shards that want it.
    async fn route(&mut self, messages: &mut Vec<Msg>) {
        let received = Instant::now();
        self.router
            .common
            .metrics
            .messages
            .inc_by(messages.len() as u64);
        for message in messages.drain(..) {
            let payload = message.get_payload_bytes();
            let Some((channel, route)) = self.routes.get(message.get_channel_name()) else {
                self.router.common.metrics.unwanted.inc();
                continue;
            };
            if route.topics.is_empty() {
                self.router.common.metrics.unwanted.inc();
                continue;
            }
            let except = match check(
                payload,
                self.router.common.config.max_message_bytes,
                &mut self.scratch,
            ) {
                Ok(except) => except,
                Err(reason) => {
                    self.router.common.metrics.rejected(reason);
                    if let Some(held_back) = self.rejections.pass(received) {
                        let bytes = payload.len();
                        warn!(%channel, reason, bytes, held_back, "a published message is dropped");
                    }
                    continue;
                }
            };
            for known in &route.topics {
                let frame = frame::event(&known.prefix, payload);
                for shard in known.shards.iter() {
                    let delivery = ToShard::Deliver(Delivery {
                        channel: channel.clone(),
                        topic: known.topic,
                        frame: frame.clone(),
                        except: except.clone(),
                        received,
                    });
                    self.router.hand(shard, delivery).await;
                    self.touched.set(shard, true);
                }
            }
        }
    }

    fn wake(&mut self) {
        for shard in std::mem::take(&mut self.touched).iter() {
            self.router.shards[usize::from(shard.0)].wake();
        }
    }

    fn count_channels(&self) {
        let count = i64::try_from(self.routes.len()).unwrap_or(i64::MAX);
        self.router.common.metrics.redis_channels.set(count);
    }
}

/// Whether a payload may be passed on; if not, the reason as the metrics name it.
fn check(payload: &[u8], most: usize, scratch: &mut Scratch) -> Result<Except, &'static str> {
    if payload.len() > most {
        return Err("too_large");
    }
    envelope::check(payload, scratch).map_err(|error| error.as_str())
}

fn subscribe(asks: Asks, channels: Vec<Arc<str>>) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move {
        let done = asks.subscribe(&channels).await;
        Answer::Subscribed(channels, done)
    })
}

fn unsubscribe(
    asks: Asks,
    channels: Vec<Arc<str>>,
) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move { Answer::Unsubscribed(asks.unsubscribe(&channels).await) })
}

fn ping(asks: Asks, after: Duration) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move {
        sleep(after).await;
        Answer::Pinged(asks.ping().await)
    })
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}
