//! The router's driver: moves events in, and commands and requests out.

use std::{future::pending, sync::Arc, time::Instant};

use tokio::{select, task::yield_now, time::sleep_until};
use womack_engine::{
    Beat, ChannelsReader, DirtyChannels, Now, Output, Receiver, Router, Sender, ShardId, ShardSet,
    SubscriberRequest, ToShard,
};
use womack_proto::subscriber::Event;
use womack_redis::{Backend, RedisSubscriber, SubscriberConfig};

use crate::context::ServerContext;

/// Events taken from the subscriber in one turn: a burst's worth, so that shards are woken once, and
/// few enough that marked channels are not kept waiting.
const EVENTS_PER_TURN: usize = 1024;
/// Channels reconciled in one turn, before messages have theirs.
const CHANNELS_PER_TURN: usize = 256;

/// Marked channels, each with the shard that marked it.
type Marked = Vec<(ShardId, Arc<str>)>;

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
        // Messages and marked channels take turns: neither waits for more than one of the other.
        let mut had_messages = false;
        loop {
            let deadline = self.router.next_deadline();
            select! {
                biased;
                () = queue.receive(&mut beats, EVENTS_PER_TURN) => {
                    beats.drain(..).for_each(|beat: Beat| beat.answer());
                }
                () = dirty.marked(), if had_messages => {}
                () = self.subscriber.receive(&mut events, EVENTS_PER_TURN) => {}
                () = dirty.marked(), if !had_messages => {}
                () = until(deadline) => {}
            }
            had_messages = !events.is_empty();
            let is_behind = match had_messages {
                true => {
                    self.handle_events(&mut events).await;
                    false
                }
                false => self.reconcile(dirty, &mut marked),
            };
            let is_late = self.handle_deadline();
            self.apply().await;
            wake(&mut self.touched, &self.shards);
            if is_behind || is_late {
                // The connections that bring the messages are tasks of this thread.
                yield_now().await;
            }
        }
    }

    /// Handles a turn's events.
    async fn handle_events(&mut self, events: &mut Vec<Event>) {
        let now = Now::read();
        self.router.begin_batch();
        let limits = self.server.config.limits.load();
        self.subscriber
            .set_max_message_bytes(limits.max_message_bytes);
        for event in events.drain(..) {
            self.router.handle_event(event, now, &mut self.out);
            self.apply().await;
        }
        self.router.end_batch(now.instant);
    }

    /// Reconciles a turn's channels. True if there may be more.
    fn reconcile(&mut self, dirty: &DirtyChannels, marked: &mut Marked) -> bool {
        let has_marked = dirty.try_take(marked, CHANNELS_PER_TURN);
        if has_marked {
            let now = Instant::now();
            self.router.reconcile(marked.drain(..), now, &mut self.out);
        }
        has_marked
    }

    /// Handles the deadlines that are over. True if there were any.
    fn handle_deadline(&mut self) -> bool {
        let Some(deadline) = self.router.next_deadline() else {
            return false;
        };
        let now = Now::read();
        let is_late = deadline <= now.instant;
        if is_late {
            self.router.handle_timeout(now, &mut self.out);
        }
        is_late
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

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Duration};

    use tokio::task::LocalSet;
    use womack_engine::queue;
    use womack_redis::TlsFiles;

    use super::*;
    use crate::{
        config::Config,
        runtime::start::{ServerParts, context},
    };

    /// The number of channels that are marked.
    const MARKED: usize = 50 * CHANNELS_PER_TURN;

    fn server() -> Arc<ServerContext> {
        let config = Config {
            shards: 1,
            ..Config::default()
        };
        let handler = Arc::new(config.channels(None));
        let server = ServerParts {
            config,
            namespaces: vec![("/".to_owned(), handler)],
            endpoints: Vec::new(),
        };
        context(server, 10, false).unwrap().0
    }

    #[tokio::test]
    async fn other_tasks_of_the_thread_have_turns_while_many_channels_are_marked() {
        // It takes connections and answers none.
        let redis = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", redis.local_addr().unwrap());
        let dirty = Arc::new(DirtyChannels::new(1));
        for number in 0..MARKED {
            dirty.mark(ShardId(0), number.to_string().into());
        }
        let (_beats, queue) = queue(1);
        let task = RouterTask {
            backend: Backend::parse(&url, &TlsFiles::default()).unwrap(),
            queue,
            dirty: dirty.clone(),
            shards: Vec::new(),
            channels: vec![ChannelsReader::default()],
            server: server(),
        };
        let turns = async {
            let mut turns = 0;
            while !dirty.is_empty() {
                turns += 1;
                yield_now().await;
            }
            turns
        };
        let local = LocalSet::new();
        local.spawn_local(task.run());
        let turns = tokio::time::timeout(Duration::from_secs(60), local.run_until(turns));
        let turns = turns.await.unwrap();
        assert!(turns >= MARKED / CHANNELS_PER_TURN, "{turns}");
    }
}
