//! Everything of a run that is not the server: its Redis, the network, applications, faults and
//! clients.

mod memory;
mod options;
mod reasons;

use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
    time::Duration,
};

use tokio::{
    select,
    time::{sleep, sleep_until},
};

pub(crate) use self::options::Size;
pub use self::options::{Omitted, Options};
use crate::{
    clock::WallClock,
    events::Events,
    faults::Recent,
    network::{Network, Obstacle, Route},
    node::{Node, NodeSize, Place, redis_channel},
    oracle::{Fate, Publication, Published},
    outages::{OutageId, Outages},
    redis::{Publishing, Redis},
    trace::Trace,
};

/// The messages that a node passes on in a second, in some runs. Applications publish a hundred, on
/// channels of which a node has some.
const MAX_MESSAGES_PER_SECOND: u32 = 24;

/// Everything of a run that is not the server.
pub(crate) struct World {
    seed: u64,
    network: Network,
    redis: RefCell<Redis>,
    nodes: Vec<RefCell<Slot>>,
    shards: usize,
    wall: WallClock,
    trace: RefCell<Trace>,
    published: RefCell<Published>,
    outages: RefCell<Outages>,
    recent: RefCell<Recent>,
    events: RefCell<Events>,
    /// When a node has last started, in milliseconds.
    started: Cell<u64>,
    is_resting: Cell<bool>,
}

/// The place of a node, which may be empty.
struct Slot {
    node: Option<Rc<Node>>,
    /// Counts the nodes that were here.
    generation: u64,
    /// Whether the node closes its clients.
    is_draining: bool,
    /// Whether it has less memory than it needs.
    is_short: bool,
    /// Until when it may close clients that hold little, or clients may learn of that; in
    /// milliseconds of the run.
    evicts_until: u64,
    /// Clients that it has closed so that memory was left.
    closed_for_memory: u64,
}

impl World {
    pub(crate) fn new(seed: u64, size: &Size, options: &Options) -> Rc<Self> {
        let slot = |_| {
            RefCell::new(Slot {
                node: None,
                generation: 0,
                is_draining: false,
                is_short: false,
                evicts_until: 0,
                closed_for_memory: 0,
            })
        };
        let world = Rc::new(Self {
            seed,
            network: Network::new(mix(seed, "network", 0)),
            redis: RefCell::new(Redis::new(size.topology)),
            nodes: (0..size.nodes).map(slot).collect(),
            shards: size.shards,
            wall: WallClock::new(),
            trace: RefCell::new(Trace::new(options.prints)),
            published: RefCell::default(),
            outages: RefCell::default(),
            recent: RefCell::default(),
            events: RefCell::default(),
            started: Cell::new(0),
            is_resting: Cell::new(false),
        });
        (0..size.nodes).for_each(|node| world.start_node(node));
        world
    }

    /// Redis answers what has arrived.
    pub(crate) async fn serve_redis(self: Rc<Self>) {
        loop {
            match self.network.arrival() {
                Ok(arrival) => {
                    self.step("arrival at redis");
                    let mut redis = self.redis.borrow_mut();
                    redis.handle(arrival, &self.network);
                    redis.handled.drain(..).for_each(|told| self.note(told));
                    for (channel, event) in redis.events.drain(..) {
                        self.hear_event(&channel, &event);
                    }
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

    /// The messages that a node passes on in a second; 0 is any number, as it is in most runs.
    pub(crate) fn max_messages_per_second(&self) -> u32 {
        match mix(self.seed, "limit", 0) % 4 {
            0 => MAX_MESSAGES_PER_SECOND,
            _ => 0,
        }
    }

    /// Applications publish numbers.
    pub(crate) async fn publish(self: Rc<Self>) {
        let mut rng = self.rng("publisher", 0);
        loop {
            sleep(Duration::from_micros(rng.u64(..20_000))).await;
            let most = 1 << rng.u32(1..=5);
            let how = match rng.bool() && self.redis().has_shards() {
                true => Publishing::ToShard,
                false => Publishing::Everywhere,
            };
            self.publish_one(how, &format!("c{}", rng.u32(..most)));
        }
    }

    pub(crate) fn publish_one(&self, how: Publishing, channel: &str) {
        let number = self.published.borrow().next(channel);
        let (name, payload) = (redis_channel(channel), format!("{{\"n\":{number}}}"));
        let redis = self.redis.borrow();
        let receivers = redis.publish(how, &name, payload.as_bytes(), &self.network);
        let fate = match receivers {
            None => Fate::Refused,
            Some(_) if redis.is_elsewhere() => Fate::Elsewhere,
            Some(_) => Fate::Taken,
        };
        let publication = Publication {
            at: self.wall.true_millis(),
            fate,
        };
        self.published.borrow_mut().add(channel, publication);
        self.step("publish");
        self.note(format!(
            "{number} is published on {channel} to {receivers:?}"
        ));
    }

    /// From now on clients only read.
    pub(crate) fn begin_rest(&self) {
        self.is_resting.set(true);
        self.note("rest".to_owned());
    }

    /// The run is over. Returns what happened.
    pub(crate) fn end(&self) -> Trace {
        self.trace.borrow_mut().end();
        self.trace.replace(Trace::new(false))
    }

    /// A node; `None` if the one of this generation has ended.
    pub(crate) fn node(&self, place: Place) -> Option<Rc<Node>> {
        let slot = self.nodes[place.node].borrow();
        (slot.generation == place.generation)
            .then(|| slot.node.clone())
            .flatten()
    }

    /// The node that is at a place now, if one is.
    pub(crate) fn node_at(&self, node: usize) -> Option<Rc<Node>> {
        self.nodes[node].borrow().node.clone()
    }

    /// The place of a node that takes clients now, if one does.
    pub(crate) fn place(&self, node: usize) -> Option<Place> {
        let slot = self.nodes[node].borrow();
        let generation = slot.generation;
        let takes = slot.node.is_some() && !slot.is_draining;
        takes.then_some(Place { node, generation })
    }

    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// A node ends at once. Returns whether there was one.
    pub(crate) fn stop_node(&self, node: usize) -> bool {
        self.nodes[node].borrow_mut().node.take().is_some()
    }

    /// A node closes its clients over some time. Returns whether there is one that has not begun to.
    pub(crate) fn drain_node(&self, node: usize, time: Duration) -> bool {
        let mut slot = self.nodes[node].borrow_mut();
        let Some(node) = slot.node.as_ref().filter(|_| !slot.is_draining) else {
            return false;
        };
        node.drain(time);
        slot.is_draining = true;
        true
    }

    /// Whether the node of a client may have closed it. One with little memory closes none that
    /// takes what is there for it, and holds no more than its share.
    pub(crate) fn explains_close(&self, place: Place) -> bool {
        let slot = self.nodes[place.node].borrow();
        slot.is_draining || slot.evicts_until > self.wall.true_millis()
    }

    /// A node starts where there is none.
    pub(crate) fn start_node(&self, node: usize) {
        let mut slot = self.nodes[node].borrow_mut();
        slot.generation += 1;
        slot.is_draining = false;
        slot.is_short = false;
        slot.evicts_until = 0;
        slot.closed_for_memory = 0;
        self.started.set(self.wall.true_millis());
        let seed = mix(self.seed, "router", slot.generation * 100 + node as u64);
        let redis = self.redis.borrow();
        let size = NodeSize {
            shards: self.shards,
            max_messages_per_second: self.max_messages_per_second(),
        };
        let started = Node::start(node, size, &redis, &self.network, &self.wall, seed);
        slot.node = Some(Rc::new(started));
    }

    pub(crate) fn redis(&self) -> Ref<'_, Redis> {
        self.redis.borrow()
    }

    pub(crate) fn redis_mut(&self) -> RefMut<'_, Redis> {
        self.redis.borrow_mut()
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn wall(&self) -> &WallClock {
        &self.wall
    }

    pub(crate) fn recent(&self) -> RefMut<'_, Recent> {
        self.recent.borrow_mut()
    }

    /// All routes that there are.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let servers: Vec<_> = (0..self.redis().count()).collect();
        self.routes_to(&servers)
    }

    /// The routes of all nodes to some servers.
    pub(crate) fn routes_to(&self, servers: &[usize]) -> Vec<Route> {
        let nodes = 0..self.node_count();
        nodes
            .flat_map(|node| servers.iter().map(move |&server| Route { node, server }))
            .collect()
    }

    /// Connections over some routes end.
    pub(crate) fn cut(&self, routes: &[Route]) {
        let ended = self.network.cut(routes);
        self.redis.borrow_mut().forget(&ended);
    }

    /// Puts an obstacle on some routes.
    pub(crate) fn block(&self, routes: &[Route], obstacle: Obstacle) {
        let ended = self.network.block(routes, obstacle);
        self.redis.borrow_mut().forget(&ended);
    }

    pub(crate) fn begin_outage(&self, routes: &[Route], loses: bool) -> OutageId {
        let at = self.wall.true_millis();
        self.outages.borrow_mut().begin(routes, at, loses)
    }

    pub(crate) fn end_outage(&self, id: OutageId) {
        self.end_outage_later(id, 0);
    }

    /// An outage ends in so many milliseconds.
    pub(crate) fn end_outage_later(&self, id: OutageId, millis: u64) {
        let at = self.wall.true_millis() + millis;
        self.outages.borrow_mut().end(id, at);
    }

    pub(crate) fn published(&self) -> Ref<'_, Published> {
        self.published.borrow()
    }

    pub(crate) fn is_resting(&self) -> bool {
        self.is_resting.get()
    }

    /// Random numbers of one part of the world.
    pub(crate) fn rng(&self, part: &str, number: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(mix(self.seed, part, number))
    }

    /// A fault has come up, which is left out if its run is made smaller.
    pub(crate) fn bring_fault(&self, number: (u64, u64)) {
        self.trace.borrow_mut().bring_fault(number);
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
