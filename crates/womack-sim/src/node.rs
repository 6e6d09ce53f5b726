//! A node: the server's own router, link and shards, with tasks that drive them in simulated time.

use std::{
    cell::RefCell,
    future::{pending, ready},
    net::Ipv4Addr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    select,
    task::{JoinHandle, spawn_local, yield_now},
    time::{sleep, sleep_until},
};
use womack_engine::{
    Channels, ChannelsSettings, Config, Context, ContextParts, DirtyChannels, Endpoint, Entry,
    Limits, MemorySocket, Metrics, Now, Output, Receiver, Registry, Reports, Router, Sender, Shard,
    ShardSet, SidSource, SlowClient, Socket, Sockets, Speaks, SubscriberRequest, ToShard, queue,
};
use womack_ledger::ShardId;
use womack_proto::NamespaceId;
use womack_redis::{Backend, RedisSubscriber, SubscriberConfig, SubscriberMetrics, TlsFiles};

use crate::{
    fleet::{start_relay, start_reporter},
    http::Http,
    network::{Network, host_of},
    redis::Redis,
};

/// The prefix of the channels of clients at Redis.
const KEY: &str = "womack:ns:default";
/// The wall clock when a run begins.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);
/// Time between the pings of a node, and how long an answer to one may take.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(8);
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Values that are taken from a queue at once.
const BATCH: usize = 1024;
/// Commands that may wait for a shard.
const SHARD_QUEUE: usize = 4096;
/// Between two looks at how far a drain has come.
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// Between two looks at the memory that shards use.
const RELIEF_INTERVAL: Duration = Duration::from_millis(250);

/// The present, by the simulated clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The channel at Redis of a channel of clients.
pub(crate) fn redis_channel(name: &str) -> String {
    format!("{KEY}:{name}")
}

/// The wall clock, which may jump. Clones are the same.
#[derive(Clone)]
pub(crate) struct WallClock {
    start: Instant,
    /// How far it was off, in milliseconds; the last is how far it is.
    offsets: Rc<RefCell<Vec<i64>>>,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self {
            start: now(),
            offsets: Rc::new(RefCell::new(vec![0])),
        }
    }

    /// The clock jumps.
    pub(crate) fn step(&self, millis: u64, is_back: bool) {
        let step = i64::try_from(millis).unwrap_or_default();
        let step = if is_back { -step } else { step };
        let offset = self.offset() + step;
        self.offsets.borrow_mut().push(offset);
    }

    fn offset(&self) -> i64 {
        self.offsets.borrow().last().copied().unwrap_or_default()
    }

    /// The time by this clock.
    fn read(&self) -> SystemTime {
        let millis = self.true_millis().saturating_add_signed(self.offset());
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// The time of a clock that never jumps, in milliseconds.
    pub(crate) fn true_millis(&self) -> u64 {
        let passed = now().duration_since(self.start) + EPOCH;
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }

    /// The true times that this clock may have meant by a time. Steps are so large that all but one
    /// lie outside of the run.
    pub(crate) fn meanings(&self, millis: u64) -> Vec<u64> {
        let offsets = self.offsets.borrow();
        let meanings = offsets.iter();
        meanings
            .map(|offset| millis.saturating_add_signed(-offset))
            .collect()
    }
}

/// A node, by its number, and by how many were there before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) node: usize,
    pub(crate) generation: u64,
}

/// A node. Dropping it ends its tasks.
pub(crate) struct Node {
    context: Arc<Context>,
    shards: Vec<Rc<RefCell<Shard>>>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    http: Rc<Http>,
}

impl Node {
    /// Starts node `number` with so many shards, whose link goes over `network`.
    pub(crate) fn start(
        number: usize,
        shards: usize,
        redis: &Redis,
        network: &Network,
        wall: &WallClock,
        seed: u64,
    ) -> Self {
        let limits = Limits {
            max_connects_per_second: 0,
            ..Limits::default()
        };
        let config = Config {
            gap_notices: true,
            ping_interval: PING_INTERVAL,
            ping_timeout: PING_TIMEOUT,
            limits: limits.into(),
            ..Config::default()
        };
        let registry = Registry::new(vec![Entry {
            path: "/".to_owned(),
            key: KEY.to_owned(),
            coalesce: Duration::ZERO,
            slow_client: SlowClient::Close,
            presence: false,
            handler: Arc::new(Channels::new(ChannelsSettings {
                limits: config.limits.clone(),
                ..ChannelsSettings::default()
            })),
        }]);
        let (reports, received) = Reports::new(10_000);
        let context = Context::new(ContextParts {
            config,
            registry,
            endpoints: endpoints(),
            metrics: Arc::new(Metrics::unread(shards)),
            sids: SidSource::new().expect("a simulation has random numbers"),
            room: 100_000,
            shards,
            reports: Some(reports),
        });
        let context = Arc::new(context.expect("the settings name no publishers"));
        let dirty = Arc::new(DirtyChannels::new(shards));
        let (mut senders, mut built, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        for id in (0..).map(ShardId).take(shards) {
            let sockets = Sockets::in_memory();
            let shard = Shard::new(id, context.clone(), sockets, None, dirty.clone(), now());
            let shard = Rc::new(RefCell::new(shard));
            let (sender, receiver) = queue(SHARD_QUEUE);
            tasks.push(spawn_local(commands(shard.clone(), receiver)));
            tasks.push(spawn_local(timers(shard.clone())));
            tasks.push(spawn_local(relief(shard.clone())));
            senders.push(sender);
            built.push(shard);
        }
        let channels = built.iter().map(|shard| shard.borrow().channels_reader());
        let router = Router::new(context.clone(), channels.collect());
        let hosts: Vec<_> = redis.seeds().map(host_of).collect();
        let scheme = match redis.has_shards() {
            true => "redis+cluster",
            false => "redis",
        };
        let url = format!("{scheme}://{}", hosts.join(","));
        let backend = Backend::parse(&url, &TlsFiles::default());
        let backend = backend
            .expect("it is a URL")
            .over(Arc::new(network.of_node(number)));
        let (relay, task) = start_relay(&context, &senders, backend.clone());
        tasks.push(task);
        tasks.push(start_reporter(
            &context,
            &senders,
            received,
            backend.clone(),
        ));
        let http = Rc::new(Http {
            context: context.clone(),
            shards: built.clone(),
            queues: senders.clone(),
            relay: Some(relay),
        });
        let subscriber = SubscriberConfig {
            statics: router.statics(),
            max_backlog_bytes: 16 << 20,
        };
        let driver = RouterDriver {
            subscriber: RedisSubscriber::open(backend, subscriber, SubscriberMetrics::default()),
            router,
            out: Output::default(),
            shards: senders,
            wall: wall.clone(),
            rng: fastrand::Rng::with_seed(seed),
        };
        tasks.push(spawn_local(driver.run(dirty)));
        Self {
            context,
            shards: built,
            tasks: RefCell::new(tasks),
            http,
        }
    }

    /// The way of requests to sessions.
    pub(crate) fn http(&self) -> Rc<Http> {
        self.http.clone()
    }

    /// A client opens a WebSocket of JSON lines at a shard. `None` if it is refused.
    pub(crate) fn open(&self, shard: usize, socket: &MemorySocket) -> Option<()> {
        let limits = self.context.config.limits.load();
        if self.context.memory.is_tight(limits.memory_budget_bytes) {
            return None;
        }
        let address = Ipv4Addr::LOCALHOST.into();
        let admitted = self
            .context
            .admission
            .admit(address, limits.admission(), now());
        let stream = Socket::Memory(socket.clone());
        let mut shard = self.shards[shard % self.shards.len()].borrow_mut();
        shard.open_plain(stream, &[], 0, NamespaceId(0), admitted.ok()?, now());
        Some(())
    }

    /// The system tells the shard that a client's socket is ready.
    pub(crate) fn ready(&self, shard: usize, socket: &MemorySocket) {
        if let Some(event) = socket.event() {
            let mut shard = self.shards[shard % self.shards.len()].borrow_mut();
            shard.ready([event], now());
            while shard.has_unread() {
                shard.read_unread(now());
            }
        }
    }

    /// Sets the memory budget to little more than what is in use, or to what it was.
    pub(crate) fn set_short_of_memory(&self, is_short: bool) {
        let limits = &self.context.config.limits;
        let memory_budget_bytes = match is_short {
            true => self.context.memory.used(),
            false => 0,
        };
        let changed = Limits {
            memory_budget_bytes,
            ..**limits.load()
        };
        limits.store(changed);
    }

    /// Closes all clients over some time, as a node does that is told to end.
    pub(crate) fn drain(&self, time: Duration) {
        let mut tasks = self.tasks.borrow_mut();
        let shards = self.shards.iter();
        tasks.extend(shards.map(|shard| spawn_local(drain(shard.clone(), time))));
    }

    /// The name of this node in records.
    pub(crate) fn name(&self) -> String {
        format!("{:08x}", self.context.sids.node)
    }

    /// Sessions that are open.
    pub(crate) fn sessions(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.borrow().session_count()).sum()
    }
}

/// Where sessions are opened.
fn endpoints() -> Vec<Endpoint> {
    let lines = Endpoint {
        path: "/ws".to_owned(),
        speaks: Speaks::Lines,
    };
    let socket_io = Endpoint {
        path: "/socket.io".to_owned(),
        speaks: Speaks::SocketIo,
    };
    vec![lines, socket_io]
}

impl Drop for Node {
    fn drop(&mut self) {
        for task in self.tasks.borrow().iter() {
            task.abort();
        }
    }
}

/// Moves events in, and commands and requests out, as the server's own driver does.
struct RouterDriver {
    subscriber: RedisSubscriber,
    router: Router,
    out: Output,
    shards: Vec<Sender<ToShard>>,
    wall: WallClock,
    /// Decides when the router gets its turn.
    rng: fastrand::Rng,
}

impl RouterDriver {
    async fn run(mut self, dirty: Arc<DirtyChannels>) {
        let (mut events, mut marked) = (Vec::new(), Vec::new());
        loop {
            let deadline = self.router.next_deadline();
            match self.rng.bool() {
                true => select! {
                    biased;
                    () = dirty.take(&mut marked, BATCH) => {}
                    () = self.subscriber.receive(&mut events, BATCH) => {}
                    () = until(deadline) => {}
                },
                false => select! {
                    biased;
                    () = self.subscriber.receive(&mut events, BATCH) => {}
                    () = dirty.take(&mut marked, BATCH) => {}
                    () = until(deadline) => {}
                },
            }
            self.be_late().await;
            let now = self.now();
            self.router.begin_batch();
            for event in events.drain(..) {
                self.router.handle_event(event, now, &mut self.out);
                self.apply().await;
            }
            self.router.end_batch();
            if !marked.is_empty() {
                self.router
                    .reconcile(marked.drain(..), now.instant, &mut self.out);
            }
            if self
                .router
                .next_deadline()
                .is_some_and(|deadline| deadline <= now.instant)
            {
                self.router.handle_timeout(now, &mut self.out);
            }
            self.apply().await;
        }
    }

    /// The thread has its turn some time after it was woken.
    async fn be_late(&mut self) {
        match self.rng.u8(..8) {
            0 => sleep(Duration::from_micros(self.rng.u64(..3000))).await,
            1 | 2 => yield_now().await,
            _ => {}
        }
    }

    fn now(&self) -> Now {
        Now {
            instant: now(),
            wall: self.wall.read(),
        }
    }

    async fn apply(&mut self) {
        let mut touched = ShardSet::default();
        for (shard, command) in self.out.commands.drain(..) {
            let sender = &self.shards[usize::from(shard.0)];
            if let Err(command) = sender.push(command) {
                sender.push_waiting(command).await;
            }
            touched.set(shard, true);
        }
        for shard in touched.iter() {
            self.shards[usize::from(shard.0)].wake();
        }
        for request in self.out.requests.drain(..) {
            match request {
                SubscriberRequest::Subscribe(channels) => self.subscriber.subscribe(channels),
                SubscriberRequest::GiveUp(channels) => self.subscriber.give_up(channels),
            }
        }
    }
}

/// Does what the router wants of a shard, as the server's own task does.
async fn commands(shard: Rc<RefCell<Shard>>, mut queue: Receiver<ToShard>) {
    let mut commands = Vec::new();
    loop {
        let (tells_gaps, fans_out, is_enough) = {
            let shard = shard.borrow();
            let is_enough = shard.is_fanning_out_enough();
            (shard.has_gaps_to_tell(), shard.has_fan_outs(), is_enough)
        };
        let takes = !is_enough && !tells_gaps && commands.is_empty();
        select! {
            biased;
            () = queue.receive(&mut commands, BATCH), if takes => {}
            () = ready(()), if fans_out || !takes => {}
        }
        {
            let mut shard = shard.borrow_mut();
            if fans_out && (tells_gaps || is_enough) {
                shard.continue_fan_outs(now());
            } else if tells_gaps {
                shard.tell_gaps(now());
            } else {
                shard.apply_commands(&mut commands, now());
            }
        }
        yield_now().await;
    }
}

async fn timers(shard: Rc<RefCell<Shard>>) {
    let timer = shard.borrow().timer();
    loop {
        let next = shard.borrow().next_turn();
        select! {
            biased;
            () = until(next) => shard.borrow_mut().turn(now()),
            () = timer.notified() => {}
        }
    }
}

/// Closes the clients of a shard, evenly over some time.
async fn drain(shard: Rc<RefCell<Shard>>, time: Duration) {
    let (start, sessions) = (now(), shard.borrow().session_count());
    loop {
        let passed = now().duration_since(start).as_secs_f64() / time.as_secs_f64();
        let due = (sessions as f64 * passed.min(1.0)).ceil() as usize;
        let closed = sessions.saturating_sub(shard.borrow().staying());
        let count = due.saturating_sub(closed);
        shard.borrow_mut().retire_some(count, now());
        if passed >= 1.0 {
            return shard.borrow_mut().close_all(now());
        }
        sleep(DRAIN_STEP).await;
    }
}

async fn relief(shard: Rc<RefCell<Shard>>) {
    loop {
        sleep(RELIEF_INTERVAL).await;
        shard.borrow_mut().tick(now());
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
