//! The network between nodes and servers of Redis: pipes with a latency, over routes that can be
//! cut, stalled and taken down.
//!
//! Bytes are on their way until their time has come. A pipe belongs to the epoch of the network in
//! which it was opened: a cut ends the epoch.

mod node_end;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// The number of a pipe.
pub(crate) type PipeId = u64;

/// Bytes that arrive at a time.
type Parcel = (Instant, Vec<u8>);

/// The two ends of a pipe.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Route {
    /// The number of the node.
    pub(crate) node: usize,
    /// The number of the server of Redis.
    pub(crate) server: usize,
}

/// An obstacle on a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Obstacle {
    /// Nothing arrives, and nothing is lost.
    Stall,
    /// Nobody connects.
    Down,
}

/// How many obstacles of each kind there are on a route: faults overlap.
#[derive(Clone, Copy, Default)]
struct Obstacles {
    stalls: u32,
    downs: u32,
}

/// The network between all nodes and all servers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Network {
    state: Arc<Mutex<State>>,
    /// Told when something is on its way to Redis, or the way has changed.
    pub(crate) changed: Arc<Notify>,
}

struct State {
    pipes: BTreeMap<PipeId, Pipe>,
    last: PipeId,
    /// The routes that are not open, or were not once.
    obstacles: BTreeMap<Route, Obstacles>,
    latency: Duration,
    /// Decides into what pieces replies are cut.
    rng: fastrand::Rng,
}

struct Pipe {
    route: Route,
    to_redis: VecDeque<Parcel>,
    to_node: VecDeque<Parcel>,
    reader: Option<Waker>,
    /// Whether Redis knows of it.
    is_accepted: bool,
    /// Swallows everything, as a router does that has forgotten a connection.
    is_black_hole: bool,
}

/// An event of a pipe at the end of Redis.
pub(crate) enum Arrival {
    /// A client has connected.
    Opened(PipeId),
    /// Bytes have come.
    Bytes(PipeId, Vec<u8>),
    /// The client has gone.
    Closed(PipeId),
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                pipes: BTreeMap::new(),
                last: 0,
                obstacles: BTreeMap::new(),
                latency: Duration::ZERO,
                rng: fastrand::Rng::with_seed(seed),
            })),
            changed: Arc::new(Notify::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// The ends of a pipe; `None` if it is gone.
    pub(crate) fn route(&self, id: PipeId) -> Option<Route> {
        Some(self.lock().pipes.get(&id)?.route)
    }

    fn obstacles(&self, route: Route) -> Obstacles {
        self.lock().obstacles(route)
    }

    /// Puts an obstacle on routes. Returns the connections that end by it and that Redis knew.
    pub(crate) fn block(&self, routes: &[Route], obstacle: Obstacle) -> Vec<PipeId> {
        for route in routes {
            *self.lock().count(*route, obstacle) += 1;
        }
        match obstacle {
            Obstacle::Down => self.cut(routes),
            Obstacle::Stall => Vec::new(),
        }
    }

    /// Takes an obstacle away that was put on routes.
    pub(crate) fn unblock(&self, routes: &[Route], obstacle: Obstacle) {
        for route in routes {
            *self.lock().count(*route, obstacle) -= 1;
        }
        self.wake_readers();
        self.changed.notify_one();
    }

    /// Ends all connections of routes. Returns those that Redis knew.
    pub(crate) fn cut(&self, routes: &[Route]) -> Vec<PipeId> {
        let cut = |_: &PipeId, pipe: &mut Pipe| routes.contains(&pipe.route);
        let pipes: Vec<_> = self.lock().pipes.extract_if(.., cut).collect();
        let mut ended = Vec::new();
        for (id, mut pipe) in pipes {
            if pipe.is_accepted {
                ended.push(id);
            }
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
        ended
    }

    /// From now on all that there is of connections of these routes swallows everything.
    pub(crate) fn hang(&self, routes: &[Route]) {
        for pipe in self.lock().pipes.values_mut() {
            pipe.is_black_hole |= routes.contains(&pipe.route);
        }
    }

    fn wake_readers(&self) {
        for pipe in self.lock().pipes.values_mut() {
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
    }

    /// Redis sends bytes.
    pub(crate) fn send(&self, id: PipeId, bytes: Vec<u8>) {
        let state = &mut *self.lock();
        let due = Instant::now() + state.latency;
        let Some(pipe) = state.pipes.get_mut(&id) else {
            return;
        };
        if pipe.is_black_hole || bytes.is_empty() {
            return;
        }
        push(&mut pipe.to_node, due, bytes);
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
    }

    /// The next thing that has arrived at Redis; else when to look again.
    pub(crate) fn arrival(&self) -> Result<Arrival, Option<Instant>> {
        let state = &mut *self.lock();
        let (now, mut next) = (Instant::now(), None::<Instant>);
        for (&id, pipe) in &mut state.pipes {
            if state
                .obstacles
                .get(&pipe.route)
                .is_some_and(|it| it.stalls > 0)
            {
                continue;
            }
            if !pipe.is_accepted {
                pipe.is_accepted = true;
                return Ok(Arrival::Opened(id));
            }
            match pipe.to_redis.front() {
                Some((due, _)) if *due <= now => {
                    let parcel = pipe.to_redis.pop_front();
                    let (_, bytes) = parcel.unwrap_or((now, Vec::new()));
                    if bytes.is_empty() {
                        state.pipes.remove(&id);
                        return Ok(Arrival::Closed(id));
                    }
                    return Ok(Arrival::Bytes(id, bytes));
                }
                Some((due, _)) => next = Some(next.map_or(*due, |next| next.min(*due))),
                None => {}
            }
        }
        Err(next)
    }
}

impl State {
    fn obstacles(&self, route: Route) -> Obstacles {
        self.obstacles.get(&route).copied().unwrap_or_default()
    }

    fn count(&mut self, route: Route, obstacle: Obstacle) -> &mut u32 {
        let obstacles = self.obstacles.entry(route).or_default();
        match obstacle {
            Obstacle::Stall => &mut obstacles.stalls,
            Obstacle::Down => &mut obstacles.downs,
        }
    }
}

/// Parcels arrive in their order, whatever the latency was when each was sent.
fn push(queue: &mut VecDeque<Parcel>, due: Instant, bytes: Vec<u8>) {
    let due = queue.back().map_or(due, |(last, _)| due.max(*last));
    queue.push_back((due, bytes));
}

impl Pipe {
    const fn new(route: Route) -> Self {
        Self {
            route,
            to_redis: VecDeque::new(),
            to_node: VecDeque::new(),
            reader: None,
            is_accepted: false,
            is_black_hole: false,
        }
    }
}

/// The host of a server of Redis.
pub(crate) fn host_of(server: usize) -> String {
    format!("redis-{server}")
}
