//! The router: messages from Redis to the shards, what the shards want to Redis.
//!
//! Each message is looked up, checked and framed once, and handed to the shards that have
//! subscribers; a shard is woken once for all that one read of the link brought. A link that
//! breaks is made again; what is wanted is in the shards' maps, so nothing else is remembered.

mod instructions;
mod looks;
mod messages;

use std::{
    future::pending,
    pin::{Pin, pin},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{Msg, RedisResult};
use tokio::{
    select,
    time::{sleep, sleep_until},
};
use tracing::{info, warn};
use womack_proto::envelope::Scratch;

use self::messages::Held;
use crate::{
    backoff::Backoff,
    command::{ToRouter, ToShard},
    pubsub::{Asks, Link},
    queue::{Receiver, Sender},
    routes::{Routes, ShardSet},
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
            failures: Throttle::new(Duration::from_secs(10)),
            held: Held::default(),
            number: 0,
            backoff: Backoff::default(),
            lost_at: None,
            is_linked: false,
            router: self,
        };
        loop {
            let link = running.connect().await;
            running.serve(link).await;
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
            self.common.metrics.redis.shard_queue_waits.inc();
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
    failures: Throttle,
    held: Held,
    /// How many messages were passed on.
    number: u64,
    backoff: Backoff,
    /// When the link was lost that has not come back.
    lost_at: Option<Instant>,
    is_linked: bool,
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
        loop {
            if let Some(wait) = self.backoff.wait() {
                self.looking_meanwhile(sleep(wait)).await;
            }
            let url = self.router.url.clone();
            let error = match self.looking_meanwhile(Link::connect(&url)).await {
                Ok(link) => return link,
                Err(error) => error,
            };
            if let Some(held_back) = self.failures.pass(Instant::now()) {
                warn!(%error, held_back, "redis cannot be reached, trying again");
            }
            self.backoff.failed();
        }
    }

    async fn looking_meanwhile<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            select! {
                done = &mut future => return done,
                () = self.router.queue.receive(&mut self.looks, LOOKS_PER_BATCH) => self.look().await,
            }
        }
    }

    /// Serves until the link is lost.
    async fn serve(&mut self, mut link: Link) {
        let mut answers = Answers::new();
        let mut under_way = 0;
        let mut messages: Vec<Msg> = Vec::new();
        self.wanted.append(&mut self.routes.ask_for_all());
        answers.push(ping(link.asks.clone(), Duration::ZERO));
        let families = &self.router.common.families;
        let (fixed, patterns) = (families.fixed(), families.patterns());
        if !fixed.is_empty() {
            answers.push(subscribe_fixed(link.asks.clone(), fixed, patterns));
            under_way += 1;
        }
        loop {
            while under_way < COMMANDS_UNDER_WAY && !self.wanted.is_empty() {
                let at = self.wanted.len().saturating_sub(CHANNELS_PER_COMMAND);
                let mut channels = self.wanted.split_off(at);
                // Some may have been given up while they waited here.
                channels.retain(|channel| self.routes.is_asked(channel));
                if !channels.is_empty() {
                    let aliases = self.aliases(&channels);
                    answers.push(subscribe(link.asks.clone(), channels, aliases));
                    under_way += 1;
                }
            }
            if !self.is_linked && under_way == 0 {
                self.linked().await;
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
                () = until(self.held.until()) => self.release().await,
                () = until(expiry) => {
                    let mut expired = self.routes.expire(Instant::now(), CHANNELS_PER_COMMAND);
                    if !expired.is_empty() {
                        expired.append(&mut self.aliases(&expired));
                        answers.push(unsubscribe(link.asks.clone(), expired));
                    }
                    self.count_channels();
                }
            }
            self.wake();
        }
    }

    /// The link stands and everything wanted is subscribed.
    async fn linked(&mut self) {
        self.is_linked = true;
        self.backoff.succeeded();
        let metrics = &self.router.common.metrics;
        metrics.redis.connected.set(1);
        self.router.status.set_redis(true);
        match self.lost_at.take() {
            Some(lost_at) => {
                let gap_seconds = lost_at.elapsed().as_secs_f64();
                metrics.redis.gap_seconds.inc_by(gap_seconds);
                let channels = self.routes.len();
                warn!(
                    gap_seconds,
                    channels, "redis is back; what was published meanwhile is lost"
                );
            }
            None => info!("redis is subscribed"),
        }
        self.tell_all(true).await;
    }

    /// The link is gone.
    async fn unlinked(&mut self) {
        if self.is_linked {
            self.lost_at = Some(Instant::now());
            self.router.common.metrics.redis.connected.set(0);
            self.router.common.metrics.redis.gaps.inc();
            self.router.status.set_redis(false);
            let channels = self.routes.len();
            warn!(channels, "redis is gone, clients stay connected");
        } else {
            self.backoff.failed();
        }
        self.is_linked = false;
        // What was received before is delivered.
        self.release().await;
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

    /// What else is published on for those who want `channels`.
    fn aliases(&self, channels: &[Arc<str>]) -> Vec<Arc<str>> {
        let Common {
            families, registry, ..
        } = &*self.router.common;
        let aliases = channels
            .iter()
            .flat_map(|channel| families.aliases(channel, registry));
        aliases.map(Arc::from).collect()
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

fn subscribe(
    asks: Asks,
    channels: Vec<Arc<str>>,
    mut aliases: Vec<Arc<str>>,
) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move {
        aliases.extend_from_slice(&channels);
        let done = asks.subscribe(&aliases).await;
        Answer::Subscribed(channels, done)
    })
}

/// Asks for what is wanted whoever is there.
fn subscribe_fixed(
    asks: Asks,
    channels: Vec<Arc<str>>,
    patterns: Vec<String>,
) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move {
        let mut done = asks.clone().subscribe(&channels).await;
        if done.is_ok() && !patterns.is_empty() {
            done = asks.subscribe_patterns(&patterns).await;
        }
        Answer::Subscribed(Vec::new(), done)
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
