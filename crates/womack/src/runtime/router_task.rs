//! The router's driver: moves events in, and commands and requests out.

use std::{future::pending, sync::Arc, time::Instant};

use tokio::{select, time::sleep_until};
use womack_engine::{
    Beat, ChannelsReader, DirtyChannels, Now, Output, Receiver, Router, Sender, ShardSet,
    SubscriberRequest, ToShard,
};
use womack_redis::{Backend, RedisSubscriber, SubscriberConfig};

use crate::context::ServerContext;

/// Events taken from the subscriber at one go: a burst's worth, so that shards are woken once, and
/// few enough that marked channels are not kept waiting.
const EVENTS_PER_BATCH: usize = 1024;
/// Channels that are reconciled at one go, before messages have their turn again.
const CHANNELS_PER_BATCH: usize = 1024;

/// Everything that the router's task is made of.
pub(super) struct RouterTask {
    pub(super) backend: Backend,
    pub(super) queue: Receiver<Beat>,
    /// Channels that shards have marked to be reconciled.
    pub(super) dirty: Arc<DirtyChannels>,
    pub(super) shards: Vec<Sender<ToShard>>,
    pub(super) channels: Vec<ChannelsReader>,
    pub(super) server: Arc<ServerContext>,
}

impl RouterTask {
    /// Runs until it is dropped.
    pub(super) async fn run(self) {
        let ServerContext {
            config,
            metrics,
            engine,
            ..
        } = &*self.server;
        let router = Router::new(engine.clone(), self.channels);
        let subscriber = SubscriberConfig {
            statics: router.statics(),
            max_backlog_bytes: config.redis.backlog_bytes,
            max_message_bytes: config.limits.load().max_message_bytes,
            ledger: engine.memory.others().clone(),
        };
        let driver = Driver {
            subscriber: RedisSubscriber::open(self.backend, subscriber, metrics.subscriber()),
            router,
            out: Output::default(),
            touched: ShardSet::default(),
            shards: self.shards,
            server: self.server.clone(),
        };
        driver.run(self.queue, &self.dirty).await;
    }
}

struct Driver {
    router: Router,
    subscriber: RedisSubscriber,
    out: Output,
    /// Shards that have something to wake for.
    touched: ShardSet,
    shards: Vec<Sender<ToShard>>,
    server: Arc<ServerContext>,
}

impl Driver {
    async fn run(mut self, mut queue: Receiver<Beat>, dirty: &DirtyChannels) {
        let mut events = Vec::new();
        let mut beats = Vec::new();
        let mut marked = Vec::new();
        loop {
            let deadline = self.router.next_deadline();
            select! {
                () = self.subscriber.receive(&mut events, EVENTS_PER_BATCH) => {
                    let now = Now::read();
                    self.router.begin_batch();
                    let limits = self.server.config.limits.load();
                    self.subscriber.set_max_message_bytes(limits.max_message_bytes);
                    for event in events.drain(..) {
                        self.router.handle_event(event, now, &mut self.out);
                        self.apply().await;
                    }
                    self.router.end_batch();
                }
                () = dirty.take(&mut marked, CHANNELS_PER_BATCH) => {
                    self.router.reconcile(marked.drain(..), Instant::now(), &mut self.out);
                }
                () = queue.receive(&mut beats, EVENTS_PER_BATCH) => {
                    beats.drain(..).for_each(|beat: Beat| beat.answer());
                }
                () = until(deadline) => {
                    self.router.handle_timeout(Now::read(), &mut self.out);
                }
            }
            self.apply().await;
            wake(&mut self.touched, &self.shards);
        }
    }

    /// Moves what the router has given to those whom it concerns.
    async fn apply(&mut self) {
        for (shard, command) in self.out.commands.drain(..) {
            let sender = &self.shards[usize::from(shard.0)];
            // A shard waits for nobody, so it will make room.
            if let Err(command) = sender.push(command) {
                self.server.engine.metrics.redis.shard_queue_waits.inc();
                // The others have commands already, and need not wait for this one.
                wake(&mut self.touched, &self.shards);
                sender.push_waiting(command).await;
            }
            self.touched.set(shard, true);
        }
        for request in self.out.requests.drain(..) {
            match request {
                SubscriberRequest::Subscribe(channels) => self.subscriber.subscribe(channels),
                SubscriberRequest::GiveUp(channels) => self.subscriber.give_up(channels),
            }
        }
    }
}

/// Wakes the shards that have commands, once each.
fn wake(touched: &mut ShardSet, shards: &[Sender<ToShard>]) {
    for shard in std::mem::take(touched).iter() {
        shards[usize::from(shard.0)].wake();
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
