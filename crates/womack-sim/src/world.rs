//! Everything of a run that is not the server: its Redis, the network, applications, faults and
//! clients.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
    time::Duration,
};

use tokio::{
    select,
    task::{LocalSet, spawn_local},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    client::Client,
    network::{Network, Way},
    node::{KEY, Node, WallClock},
    oracle::{Fate, Outages, Publication, Published, difference},
    redis::Redis,
    trace::Trace,
};

/// How much longer than an outage a gap may be at either end: a question for the identity each
/// second, some latencies, and the wait before the next try to connect.
const GAP_SLACK: u64 = 2500;
/// Milliseconds without an outage after which what a client reads is true: the longest sleep of a
/// client, and the time to restore a link.
const LIVE_FOR: u64 = 5000;
/// Milliseconds until a node gives up a connection that answers nothing, at the most.
const HANG: u64 = 9000;
/// How long it takes until nothing is under way any more: time-outs of requests, of links and of
/// channels that nobody wants.
const REST: Duration = Duration::from_secs(25);
/// How often clients read at rest.
const READ_INTERVAL: Duration = Duration::from_millis(50);

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Shards of the node.
    pub shards: usize,
    /// Clients that are there at a time.
    pub clients: usize,
    /// Simulated time with faults.
    pub time: Duration,
    /// Whether everything that happens is printed.
    pub prints: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 2,
            clients: 12,
            time: Duration::from_secs(60),
            prints: false,
        }
    }
}

/// Runs a seed, and returns what happened. Every call with the same arguments does the same.
pub fn run(seed: u64, options: Options) -> Trace {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime without sockets needs nothing of the system");
    LocalSet::new().block_on(&runtime, async {
        let world = World::new(seed, options);
        world.run(options).await;
        world.trace.replace(Trace::new(false))
    })
}

/// Everything of a run that is not the server.
pub(crate) struct World {
    seed: u64,
    network: Network,
    redis: RefCell<Redis>,
    node: Node,
    wall: WallClock,
    trace: RefCell<Trace>,
    published: RefCell<Published>,
    outages: RefCell<Outages>,
    is_resting: Cell<bool>,
}

impl World {
    fn new(seed: u64, options: Options) -> Rc<Self> {
        let wall = WallClock::new();
        let network = Network::new(mix(seed, "network", 0));
        let node = Node::start(options.shards, &network, &wall, mix(seed, "router", 0));
        Rc::new(Self {
            seed,
            network,
            redis: RefCell::new(Redis::new()),
            node,
            wall,
            trace: RefCell::new(Trace::new(options.prints)),
            published: RefCell::default(),
            outages: RefCell::default(),
            is_resting: Cell::new(false),
        })
    }

    async fn run(self: &Rc<Self>, options: Options) {
        let redis = spawn_local(self.clone().serve_redis());
        let publisher = spawn_local(self.clone().publish());
        let standing = Rc::new(RefCell::new(Vec::new()));
        let clients: Vec<_> = (0..options.clients)
            .map(|number| spawn_local(Client::new(self, number).run(standing.clone())))
            .collect();
        self.trouble(Instant::now() + options.time).await;
        publisher.abort();
        self.is_resting.set(true);
        for client in clients {
            if client.await.is_err() {
                self.violate("a client's task has failed");
            }
        }
        let mut standing = standing.take();
        self.rest(&mut standing).await;
        self.check(&standing);
        redis.abort();
    }

    /// Redis answers what has arrived.
    async fn serve_redis(self: Rc<Self>) {
        loop {
            match self.network.arrival() {
                Ok(arrival) => {
                    self.step("arrival at redis");
                    let mut redis = self.redis.borrow_mut();
                    redis.handle(arrival, &self.network);
                    redis.handled.drain(..).for_each(|told| self.note(told));
                }
                Err(next) => {
                    let due = async {
                        match next {
                            Some(next) => sleep_until(next).await,
                            None => std::future::pending().await,
                        }
                    };
                    select! {
                        biased;
                        () = self.network.changed.notified() => {}
                        () = due => {}
                    }
                }
            }
        }
    }

    /// Applications publish numbers.
    async fn publish(self: Rc<Self>) {
        let mut rng = self.rng("publisher", 0);
        loop {
            sleep(Duration::from_micros(rng.u64(..20_000))).await;
            let most = 1 << rng.u32(1..=5);
            self.publish_one(&format!("c{}", rng.u32(..most)));
        }
    }

    fn publish_one(&self, channel: &str) {
        let number = self.published.borrow().next(channel);
        let (name, payload) = (format!("{KEY}:{channel}"), format!("{{\"n\":{number}}}"));
        let receivers = self.redis.borrow().publish(&name, &payload, &self.network);
        let fate = match receivers {
            None => Fate::Refused,
            Some(_) if !self.redis.borrow().is_master() => Fate::Elsewhere,
            Some(_) => Fate::Taken,
        };
        let publication = Publication {
            at: self.wall.millis(),
            fate,
        };
        self.published.borrow_mut().add(channel, publication);
        self.step("publish");
        self.note(format!(
            "{number} is published on {channel} to {receivers:?}"
        ));
    }

    /// Troubles the way to Redis until `end`, and leaves it whole.
    async fn trouble(&self, end: Instant) {
        let mut rng = self.rng("faults", 0);
        loop {
            let pause = Duration::from_millis(rng.u64(100..4000));
            if Instant::now() + pause >= end {
                return sleep_until(end).await;
            }
            sleep(pause).await;
            let latency = match rng.u8(..3) {
                0 => Duration::ZERO,
                _ => Duration::from_micros(rng.u64(..100_000)),
            };
            self.network.set_latency(latency);
            let begin = |at| self.outages.borrow_mut().begin(at);
            let fault = rng.u8(..100);
            let time = match fault {
                0..30 => {
                    self.fault("cut");
                    begin(self.wall.millis());
                    self.forget(&self.network.cut());
                    Duration::ZERO
                }
                30..37 => {
                    self.fault("hang");
                    let at = self.wall.millis();
                    self.outages.borrow_mut().add(at, at + HANG);
                    self.network.hang();
                    Duration::ZERO
                }
                37..67 => {
                    let is_long = rng.u8(..5) == 0;
                    self.fault(if is_long { "long stall" } else { "stall" });
                    begin(self.wall.millis());
                    self.network.set_way(Way::Stalled);
                    Duration::from_millis(if is_long {
                        rng.u64(5000..9000)
                    } else {
                        rng.u64(20..2500)
                    })
                }
                67..82 => {
                    self.fault("down");
                    begin(self.wall.millis());
                    self.forget(&self.network.set_way(Way::Down));
                    Duration::from_millis(rng.u64(10..4000))
                }
                82..87 => {
                    // Redis ends the connections of users that have lost a right.
                    self.fault("refusal");
                    begin(self.wall.millis());
                    let refused = format!("{KEY}:c{}", rng.u32(..16));
                    self.redis.borrow_mut().refused = Some(refused);
                    self.forget(&self.network.cut());
                    Duration::from_millis(rng.u64(50..4000))
                }
                87..93 => {
                    self.fault("demotion");
                    begin(self.wall.millis());
                    self.redis.borrow_mut().change_role();
                    Duration::from_millis(rng.u64(50..3000))
                }
                _ => {
                    self.fault("busy");
                    self.redis.borrow_mut().is_busy = true;
                    Duration::from_millis(rng.u64(50..3000))
                }
            };
            sleep_until((Instant::now() + time).min(end)).await;
            self.restore();
        }
    }

    fn restore(&self) {
        self.network.set_way(Way::Open);
        let mut redis = self.redis.borrow_mut();
        redis.is_busy = false;
        redis.refused = None;
        if !redis.is_master() {
            redis.change_role();
        }
        self.outages.borrow_mut().end(self.wall.millis());
        self.note("the way to redis is whole".to_owned());
    }

    fn fault(&self, kind: &str) {
        self.step(kind);
        self.note(format!("FAULT {kind}"));
    }

    fn forget(&self, ended: &[u64]) {
        self.redis.borrow_mut().forget(ended);
    }

    /// Waits until nothing is under way, and publishes once more on every channel.
    async fn rest(&self, clients: &mut [Client]) {
        self.note("rest".to_owned());
        for round in 0..2 {
            let end = Instant::now() + REST;
            while Instant::now() < end {
                sleep(READ_INTERVAL).await;
                clients.iter_mut().for_each(Client::read);
            }
            if round == 0 {
                (0..32).for_each(|number| self.publish_one(&format!("c{number}")));
            }
        }
    }

    fn check(&self, clients: &[Client]) {
        let wanted = clients.iter().flat_map(Client::check_at_rest);
        let wanted: BTreeSet<_> = wanted.map(|name| format!("{KEY}:{name}")).collect();
        let found = self.redis.borrow().subscribed(&self.network);
        if let Some(difference) = difference(&wanted, &found) {
            self.violate(&difference);
        }
        let reports = self.node.take_reports().len();
        self.note(format!(
            "{reports} reports, {} sessions",
            self.node.sessions()
        ));
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn published(&self) -> Ref<'_, Published> {
        self.published.borrow()
    }

    pub(crate) fn is_resting(&self) -> bool {
        self.is_resting.get()
    }

    /// Whether a gap that was told had a reason.
    pub(crate) fn explains_gap(&self, from: u64, to: u64) -> bool {
        self.outages.borrow().explain(from, to, GAP_SLACK)
    }

    /// A client has just read that a channel is live for it: if the way was whole for long enough,
    /// the node is subscribed at Redis.
    pub(crate) fn check_live(&self, channel: &str) {
        let since = self.wall.millis().saturating_sub(LIVE_FOR);
        let name = format!("{KEY}:{channel}");
        let is_subscribed = self.redis.borrow().subscribers(&name, &self.network) > 0;
        if !is_subscribed && self.outages.borrow().is_quiet_since(since) {
            self.violate(&format!("{channel} is confirmed and not subscribed"));
        }
    }

    /// Random numbers of one part of the world.
    pub(crate) fn rng(&self, part: &str, number: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(mix(self.seed, part, number))
    }

    pub(crate) fn note(&self, line: String) {
        self.trace.borrow_mut().note(line);
    }

    pub(crate) fn step(&self, kind: &str) {
        self.trace.borrow_mut().step(kind);
    }

    pub(crate) fn count(&self, kind: &str) {
        self.trace.borrow_mut().count(kind);
    }

    pub(crate) fn violate(&self, text: &str) {
        self.trace.borrow_mut().violation(text);
    }
}

/// A seed of one part of the world.
fn mix(seed: u64, part: &str, number: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, part, number).hash(&mut hasher);
    hasher.finish()
}
