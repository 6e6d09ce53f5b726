//! A node: the server's own router, link and shards, with tasks that drive them in simulated time.

mod tasks;

use std::{cell::RefCell, net::Ipv4Addr, rc::Rc, sync::Arc, time::Duration};

use tokio::task::{JoinHandle, spawn_local};
use womack_engine::{
    Channels, ChannelsSettings, Config, Context, ContextParts, DirtyChannels, Endpoint, Entry,
    Limits, MemorySocket, Metrics, Output, Receiver, Registry, Report, Reports, Router, Shard,
    SidSource, SlowClient, Socket, Sockets, Speaks, queue,
};
use womack_ledger::{PROCESS_BYTES, SHARD_BYTES, ShardId};
use womack_proto::{CloseReason, NamespaceId};
use womack_redis::{Backend, RedisSubscriber, SubscriberConfig, SubscriberMetrics, TlsFiles};

use self::tasks::{RouterDriver, commands, drain, relief, timers};
use crate::{
    clock::{WallClock, now},
    fleet::{start_relay, start_reporter},
    http::Http,
    network::{Network, host_of},
    redis::Redis,
};

/// The prefix of the channels of clients at Redis.
const KEY: &str = "womack:ns:default";
/// Time between the pings of a node, and how long an answer to one may take.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(8);
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Packets that a client may send in a second, and channels that it may be in: enough for those that
/// mean well, and soon passed by those that do not.
const MAX_PACKETS: u32 = 500;
const MAX_CHANNELS: usize = 64;
/// Commands that may wait for a shard.
const SHARD_QUEUE: usize = 4096;

/// The channel at Redis of a channel of clients.
pub(crate) fn redis_channel(name: &str) -> String {
    format!("{KEY}:{name}")
}

/// A node, by its number, and by how many were there before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) node: usize,
    pub(crate) generation: u64,
}

/// The memory that a node has for its clients.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Memory {
    Enough,
    /// As much as is in use: no new client is taken.
    NoneLeft,
    /// So many bytes for each client, and none for new ones.
    OfEach(usize),
}

/// The size of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeSize {
    pub(crate) shards: usize,
    /// 0 is any number.
    pub(crate) max_messages_per_second: u32,
}

/// A node. Dropping it ends its tasks.
pub(crate) struct Node {
    context: Arc<Context>,
    shards: Vec<Rc<RefCell<Shard>>>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    http: Rc<Http>,
}

impl Node {
    /// Starts node `number` of this size, whose link goes over `network`.
    pub(crate) fn start(
        number: usize,
        size: NodeSize,
        redis: &Redis,
        network: &Network,
        wall: &WallClock,
        seed: u64,
    ) -> Self {
        let NodeSize { shards, .. } = size;
        let (context, received) = context(size);
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
        let backend = backend(redis).over(Arc::new(network.of_node(number)));
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
            max_message_bytes: 1 << 20,
            ledger: context.memory.others().clone(),
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

    /// Sets the memory budget; 0 is as much as the machine says. Without one, nothing is ever
    /// scarce here.
    pub(crate) fn set_memory(&self, memory: Memory) {
        let limits = &self.context.config.limits;
        let memory_budget_bytes = match memory {
            Memory::Enough => 0,
            Memory::NoneLeft => self.context.memory.used(),
            // Each may hold its part of half of the budget.
            Memory::OfEach(bytes) => 2 * bytes * self.context.admission.sessions().max(1),
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

    /// Clients that were closed so that memory was left.
    pub(crate) fn closed_for_memory(&self) -> u64 {
        let clients = &self.context.metrics.clients;
        clients.closed_so_far(CloseReason::MemoryBudget)
    }

    /// Bytes that are held for clients, as far as they are counted.
    pub(crate) fn held(&self) -> usize {
        let own = PROCESS_BYTES + self.shards.len() * SHARD_BYTES;
        self.context.memory.used() - own
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

/// State that the parts of a node share, and the reports of its shards.
fn context(size: NodeSize) -> (Arc<Context>, Receiver<Report>) {
    let NodeSize {
        shards,
        max_messages_per_second,
    } = size;
    let limits = Limits {
        max_connects_per_second: 0,
        max_packets_per_second: MAX_PACKETS,
        max_channels_per_client: MAX_CHANNELS,
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
        max_messages_per_second,
        presence: false,
        handler: Arc::new(Channels::new(ChannelsSettings {
            limits: config.limits.clone(),
            ..ChannelsSettings::default()
        })),
    }]);
    let memory = womack_ledger::Memory::new(shards);
    let (reports, received) = Reports::new(10_000, memory.reports());
    let context = Context::new(ContextParts {
        config,
        registry,
        endpoints: endpoints(),
        metrics: Arc::new(Metrics::unread(shards)),
        sids: SidSource::new().expect("a simulation has random numbers"),
        room: 100_000,
        memory,
        reports: Some(reports),
    });
    let context = context.expect("the settings name no publishers");
    (Arc::new(context), received)
}

/// The servers of Redis, by their URL.
fn backend(redis: &Redis) -> Backend {
    let hosts: Vec<_> = redis.seeds().map(host_of).collect();
    let scheme = match redis.has_shards() {
        true => "redis+cluster",
        false => "redis",
    };
    let url = format!("{scheme}://{}", hosts.join(","));
    Backend::parse(&url, &TlsFiles::default()).expect("it is a URL")
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
