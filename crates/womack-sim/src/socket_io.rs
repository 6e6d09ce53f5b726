//! Clients of Socket.IO over long-polling and WebSocket that subscribe, leave, sleep, give polls
//! up, send two at a time, and stay away for too long.

use std::{rc::Rc, time::Duration};

use tokio::time::{Instant, sleep};
use womack_proto::Revision;

use crate::{
    events::Member,
    fleet::RELAY_TIMEOUT,
    node::{PING_INTERVAL, PING_TIMEOUT},
    session::choose,
    visit::{Balancer, State, Visit},
    visitor::{Standing, Visitor},
    world::World,
};

/// A client.
pub(crate) struct SocketIoClient {
    name: String,
    world: Rc<World>,
    rng: fastrand::Rng,
    kind: Kind,
    visit: Option<Visit>,
    /// Until when it neither reads nor sends.
    sleeps_until: Option<Instant>,
}

/// A kind of client.
#[derive(Clone, Copy)]
struct Kind {
    revision: Revision,
    /// Whether it polls, at first at least.
    polls: bool,
    /// Whether a WebSocket follows.
    upgrades: bool,
    /// Whether its requests reach any node.
    roams: bool,
}

impl SocketIoClient {
    pub(crate) fn new(world: &Rc<World>, number: usize) -> Self {
        let mut rng = world.rng("socket.io client", number as u64);
        let kind = Kind {
            revision: if rng.u8(..3) == 0 {
                Revision::V3
            } else {
                Revision::V4
            },
            polls: rng.u8(..6) > 0,
            upgrades: rng.bool(),
            roams: rng.bool(),
        };
        Self {
            name: format!("socket.io client {number}"),
            world: world.clone(),
            rng,
            kind,
            visit: None,
            sleeps_until: None,
        }
    }

    /// Acts at random until the world is at rest, and then only reads.
    pub(crate) async fn run(mut self, standing: Standing) {
        let mean = Duration::from_millis(10 << self.rng.u32(..4));
        while !self.world.is_resting() {
            sleep(mean.mul_f64(2.0 * self.rng.f64())).await;
            self.act();
        }
        standing.borrow_mut().push(Box::new(self));
    }

    /// Does one thing.
    fn act(&mut self) {
        if self.is_asleep() {
            return;
        }
        let Some(mut visit) = self.visit.take() else {
            return self.come();
        };
        if visit.is_well() {
            let Some(left) = self.act_well(visit) else {
                return;
            };
            visit = left;
        }
        if visit.step() == State::Open {
            self.visit = Some(visit);
        }
    }

    /// Does one thing of a client of whose session nothing is about to end. Returns its session.
    fn act_well(&mut self, mut visit: Visit) -> Option<Visit> {
        match self.rng.u16(..1000) {
            0..60 => visit.ask(true, &choose(&mut self.rng)),
            60..80 => self.unsubscribe(&mut visit),
            80..90 => {
                // Leaves and comes again at once.
                self.unsubscribe(&mut visit);
                visit.ask(true, &choose(&mut self.rng));
            }
            90..96 => {
                self.world.step("socket.io client sleeps");
                let time = Duration::from_millis(self.rng.u64(..3000));
                self.sleep(time);
            }
            96..97 => {
                // A request that is still on its way to another node is a sign of life, too.
                let time = PING_INTERVAL + PING_TIMEOUT + RELAY_TIMEOUT;
                let time = time + Duration::from_millis(self.rng.u64(2000..8000));
                visit.doom("client stays away", Instant::now() + time);
                self.sleep(time);
            }
            97..100 => visit.abort_poll(),
            100..103 if visit.repeat_poll() == State::Ended => return None,
            103..108 if self.kind.upgrades => visit.upgrade(),
            108..111 => visit.leave(),
            111..114 => {
                visit.vanish();
                return None;
            }
            _ => {}
        }
        Some(visit)
    }

    fn come(&mut self) {
        let number = self.rng.usize(..self.world.node_count());
        let Some(place) = self.world.place(number) else {
            return self.world.count("no node to come to");
        };
        let balancer = Balancer {
            world: self.world.clone(),
            rng: self.rng.fork(),
            place,
            roams: self.kind.roams && self.kind.polls,
        };
        let name = self.name.clone();
        self.visit = match self.kind.polls {
            true => Visit::poll(balancer, self.kind.revision, name),
            false => Visit::open(balancer, self.kind.revision, name),
        };
        self.world.step(match self.visit {
            Some(_) => "socket.io client comes",
            None => "socket.io client refused",
        });
    }

    fn unsubscribe(&mut self, visit: &mut Visit) {
        let channels = visit.session().choose_to_leave(&mut self.rng);
        visit.ask(false, &channels);
    }

    fn sleep(&mut self, time: Duration) {
        self.sleeps_until = Some(Instant::now() + time);
    }

    fn is_asleep(&mut self) -> bool {
        let now = Instant::now();
        self.sleeps_until.take_if(|until| *until <= now);
        self.sleeps_until.is_some()
    }
}

impl Visitor for SocketIoClient {
    fn read(&mut self) {
        if self.is_asleep() {
            return;
        }
        if let Some(mut visit) = self.visit.take()
            && visit.step() == State::Open
        {
            self.visit = Some(visit);
        }
    }

    fn check_at_rest(&self) -> Vec<(usize, Member)> {
        self.visit
            .as_ref()
            .map_or_else(Vec::new, Visit::check_at_rest)
    }
}
