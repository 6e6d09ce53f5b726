//! Faults that trouble nodes, servers and the way between them, several at a time.

mod kind;

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use tokio::{
    task::spawn_local,
    time::{Instant, sleep, sleep_until},
};

pub(crate) use self::kind::Recent;
use self::kind::{COMMON, Fault, OF_CLUSTER, OF_SINGLE, WEIGHT_OF_SPECIAL};
use crate::{
    network::{Obstacle, Route},
    node::Memory,
    outages::OutageId,
    world::{Omitted, World},
};

/// Milliseconds between the end of a fault and the next of the same injector.
const PAUSE: std::ops::Range<u64> = 50..1200;
/// One of so many faults is of the kind of the one before it.
const REPEATED: u8 = 6;
/// Milliseconds until a node gives up a connection that answers nothing, at the most.
const HANG: u64 = 9000;
/// Milliseconds that a node has for the last bytes of clients that it has closed.
const CLOSING: u64 = 1000;
/// Bytes that each client may hold of a small memory budget, as powers of two: hardly a message at
/// the least, and at the most more than a client ever holds that takes what is there for it.
const SHARE: std::ops::Range<u32> = 11..19;
/// The least step of the wall clock: no time of a run is mistaken for another.
const LEAST_STEP: u64 = 600_000;

/// A fault that lasts.
struct Lasting {
    number: u64,
    outage: Option<OutageId>,
    undo: Undo,
    time: Duration,
}

/// The end of a fault.
enum Undo {
    Nothing,
    Unblock(Vec<Route>, Obstacle),
    AllowChannel,
    EndScript(usize),
    Promote,
    /// Of the cluster's pair, whose master has stopped.
    StartServer(usize, Vec<Route>),
    StartNode(usize),
    /// A node that has closed its clients is to make place for another.
    ReplaceNode(usize),
    FreeMemory(usize),
}

/// Troubles a run until `end`, with so many faults at a time, and leaves everything whole.
pub(crate) async fn trouble(world: &Rc<World>, at_a_time: u64, end: Instant, omitted: &Omitted) {
    let injectors: Vec<_> = (0..at_a_time)
        .map(|number| {
            let omitted = omitted.faults.clone();
            spawn_local(inject(world.clone(), number, end, omitted))
        })
        .collect();
    for injector in injectors {
        if injector.await.is_err() {
            world.violate("a task of faults has failed");
        }
    }
    world.note("everything is whole".to_owned());
}

async fn inject(world: Rc<World>, number: u64, end: Instant, omitted: BTreeSet<(u64, u64)>) {
    let mut injector = Injector {
        rng: world.rng("faults", number),
        world,
        last: None,
    };
    for fault_number in 0.. {
        let pause = Duration::from_millis(injector.rng.u64(PAUSE));
        if Instant::now() + pause >= end {
            return sleep_until(end).await;
        }
        sleep(pause).await;
        let latency = match injector.rng.u8(..3) {
            0 => Duration::ZERO,
            _ => Duration::from_micros(injector.rng.u64(..100_000)),
        };
        injector.world.network().set_latency(latency);
        let fault = injector.choose();
        if omitted.contains(&(number, fault_number)) {
            continue;
        }
        let Some(lasting) = injector.begin(fault) else {
            continue;
        };
        injector.world.bring_fault((number, fault_number));
        injector.last(lasting, end).await;
    }
}

/// One of those who bring faults.
struct Injector {
    world: Rc<World>,
    rng: fastrand::Rng,
    /// The kind that it has chosen last.
    last: Option<Fault>,
}

impl Injector {
    /// Chooses a kind. Of two faults of one kind there are half as many pairs as of two of different
    /// kinds, so one of some is of the kind of the one before it.
    fn choose(&mut self) -> Fault {
        let last = self.last.filter(|_| self.rng.u8(..REPEATED) == 0);
        let fault = last.unwrap_or_else(|| self.choose_any());
        self.last = Some(fault);
        fault
    }

    fn choose_any(&mut self) -> Fault {
        let special: &[Fault] = match self.world.redis().has_shards() {
            true => &OF_CLUSTER,
            false => &OF_SINGLE,
        };
        let kinds = COMMON.len() + WEIGHT_OF_SPECIAL * special.len();
        let kind = self.rng.usize(..kinds);
        match kind.checked_sub(COMMON.len()) {
            None => COMMON[kind],
            Some(kind) => special[kind / WEIGHT_OF_SPECIAL],
        }
    }

    /// All routes, those of one node, those of one server, or one.
    fn choose_routes(&mut self) -> Vec<Route> {
        let (nodes, servers) = (self.world.node_count(), self.world.redis().count());
        let node = self.rng.bool().then(|| self.rng.usize(..nodes));
        let server = self.rng.bool().then(|| self.rng.usize(..servers));
        let mut routes = self.world.routes();
        routes.retain(|route| {
            node.is_none_or(|node| node == route.node)
                && server.is_none_or(|server| server == route.server)
        });
        routes
    }

    /// Brings a fault; `None` if there can be none of this kind now.
    fn begin(&mut self, fault: Fault) -> Option<Lasting> {
        let routes = self.choose_routes();
        let lasting = match fault {
            Fault::Cut => {
                self.world.cut(&routes);
                self.moment(&routes)
            }
            Fault::Hang => {
                self.world.network().hang(&routes);
                let outage = self.world.begin_outage(&routes, true);
                self.world.end_outage_later(outage, HANG);
                (None, Undo::Nothing, 0)
            }
            Fault::Stall => self.block(routes, Obstacle::Stall, 20..2500),
            Fault::LongStall => self.block(routes, Obstacle::Stall, 5000..9000),
            Fault::Down => self.block(routes, Obstacle::Down, 10..4000),
            Fault::Refusal => self.refuse()?,
            Fault::Busy => self.run_script(),
            Fault::Demotion => self.demote()?,
            Fault::Failover => {
                let pair = self.rng.usize(..3);
                let network = self.world.network();
                let new = self.world.redis_mut().fail_over(pair, network)?;
                self.moment(&self.world.routes_to(&[new, (new + 3) % 6]))
            }
            Fault::Crash => self.crash()?,
            Fault::SlotMove => {
                let (channel, pair) = (self.channel(), self.rng.usize(..3));
                let network = self.world.network();
                let moved = self.world.redis_mut().move_slot(&channel, pair, network)?;
                self.moment(&self.world.routes_to(&moved))
            }
            Fault::ClockStep => {
                let step = self.rng.u64(LEAST_STEP..20 * LEAST_STEP);
                self.world.wall().step(step, self.rng.bool());
                (None, Undo::Nothing, 0)
            }
            Fault::NodeCrash => self.crash_node()?,
            Fault::Drain => self.drain_node()?,
            Fault::Shortage => {
                let node = self.rng.usize(..self.world.node_count());
                let is_short = self.world.take_memory(node, Memory::NoneLeft);
                is_short.then_some((None, Undo::FreeMemory(node), self.rng.u64(50..3000)))?
            }
            Fault::SmallBudget => {
                let node = self.rng.usize(..self.world.node_count());
                let share = 1 << self.rng.u32(SHARE);
                let is_short = self.world.take_memory(node, Memory::OfEach(share));
                is_short.then_some((None, Undo::FreeMemory(node), self.rng.u64(500..6000)))?
            }
        };
        let (outage, undo, millis) = lasting;
        let (number, others) = self.world.recent().begin(fault);
        self.world.step(fault.name());
        for other in others {
            let (first, second) = (fault.min(other), fault.max(other));
            let pair = format!("pair: {} and {}", first.name(), second.name());
            self.world.count(&pair);
        }
        self.world
            .note(format!("FAULT {} for {millis} ms", fault.name()));
        Some(Lasting {
            number,
            outage,
            undo,
            time: Duration::from_millis(millis),
        })
    }

    /// A fault that is over at once.
    fn moment(&self, routes: &[Route]) -> (Option<OutageId>, Undo, u64) {
        let outage = self.world.begin_outage(routes, true);
        (Some(outage), Undo::Nothing, 0)
    }

    fn block(
        &mut self,
        routes: Vec<Route>,
        obstacle: Obstacle,
        millis: std::ops::Range<u64>,
    ) -> (Option<OutageId>, Undo, u64) {
        let outage = self.world.begin_outage(&routes, true);
        self.world.block(&routes, obstacle);
        let millis = self.rng.u64(millis);
        (Some(outage), Undo::Unblock(routes, obstacle), millis)
    }

    /// Redis ends the connections of users that have lost a right.
    fn refuse(&mut self) -> Option<(Option<OutageId>, Undo, u64)> {
        if self.world.redis().is_refusing() {
            return None;
        }
        let (channel, routes) = (self.channel(), self.world.routes());
        self.world.redis_mut().refuse(Some(&channel));
        self.world.cut(&routes);
        let outage = self.world.begin_outage(&routes, true);
        let millis = self.rng.u64(50..4000);
        Some((Some(outage), Undo::AllowChannel, millis))
    }

    fn run_script(&mut self) -> (Option<OutageId>, Undo, u64) {
        let masters = self.world.redis().masters();
        let server = masters[self.rng.usize(..masters.len())];
        self.world.redis_mut().set_busy(server, true);
        let routes = self.world.routes_to(&[server]);
        let outage = self.world.begin_outage(&routes, false);
        let millis = self.rng.u64(50..3000);
        (Some(outage), Undo::EndScript(server), millis)
    }

    fn demote(&mut self) -> Option<(Option<OutageId>, Undo, u64)> {
        if self.world.redis().is_elsewhere() {
            return None;
        }
        self.world.redis_mut().demote();
        let outage = self.world.begin_outage(&self.world.routes(), true);
        Some((Some(outage), Undo::Promote, self.rng.u64(50..3000)))
    }

    fn crash(&mut self) -> Option<(Option<OutageId>, Undo, u64)> {
        let pair = self.rng.usize(..3);
        let server = self.world.redis_mut().crash(pair)?;
        let routes = self.world.routes_to(&[server]);
        // Without this master the others serve no shard channels, until its replica takes over.
        let outage = self.world.begin_outage(&self.world.routes(), true);
        self.world.block(&routes, Obstacle::Down);
        let millis = self.rng.u64(100..4000);
        Some((Some(outage), Undo::StartServer(pair, routes), millis))
    }

    fn crash_node(&mut self) -> Option<(Option<OutageId>, Undo, u64)> {
        let node = self.rng.usize(..self.world.node_count());
        if !self.world.stop_node(node) {
            return None;
        }
        let mut routes = self.world.routes();
        routes.retain(|route| route.node == node);
        let outage = self.world.begin_outage(&routes, true);
        Some((Some(outage), Undo::StartNode(node), self.rng.u64(10..3000)))
    }

    fn drain_node(&mut self) -> Option<(Option<OutageId>, Undo, u64)> {
        let node = self.rng.usize(..self.world.node_count());
        let millis = self.rng.u64(100..3000);
        let drains = self.world.drain_node(node, Duration::from_millis(millis));
        drains.then_some((None, Undo::ReplaceNode(node), millis + CLOSING))
    }

    fn channel(&mut self) -> String {
        crate::node::redis_channel(&format!("c{}", self.rng.u32(..16)))
    }

    /// Waits for the end of a fault, which comes before `end`.
    async fn last(&mut self, lasting: Lasting, end: Instant) {
        let over = (Instant::now() + lasting.time).min(end);
        if let Undo::StartServer(pair, _) = &lasting.undo {
            // The replica takes over before its former master is back, or the master is back first.
            if self.rng.u8(..4) > 0 {
                sleep_until(Instant::now() + (over - Instant::now()) / 2).await;
                self.world.redis_mut().replace_master(*pair);
            }
        }
        sleep_until(over).await;
        let world = &self.world;
        match lasting.undo {
            Undo::Nothing => {}
            Undo::Unblock(routes, obstacle) => world.network().unblock(&routes, obstacle),
            Undo::AllowChannel => world.redis_mut().refuse(None),
            Undo::EndScript(server) => world.redis_mut().set_busy(server, false),
            Undo::Promote => world.redis_mut().promote(),
            Undo::StartServer(_, routes) => {
                if let Some(route) = routes.first() {
                    world.redis_mut().start(route.server);
                }
                world.network().unblock(&routes, Obstacle::Down);
            }
            Undo::StartNode(node) => world.start_node(node),
            Undo::FreeMemory(node) => world.free_memory(node),
            Undo::ReplaceNode(node) => {
                world.stop_node(node);
                world.start_node(node);
            }
        }
        if let Some(outage) = lasting.outage {
            world.end_outage(outage);
        }
        world.recent().end(lasting.number);
        if !lasting.time.is_zero() {
            world.note(format!("fault {} is over", lasting.number));
        }
    }
}
