//! Hostile loads, churn and faults one after the other against one server, for as long as one
//! likes: nothing of them is left.
//!
//! A round is every load that needs no server of its own, each followed by clients that come and go
//! and by a fault. At its end the server comes to rest, and is measured. The first rounds fill what
//! a process keeps for itself; from then on what is measured has to stay as it is.

use std::{
    env, fs,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::time::timeout;
use womack_test_support::{Client, Redis, Server, eventually, metrics::Metrics};

use super::{
    LOADS,
    harness::{self, CHARGE_SLACK, REDIS, allow_files},
    load::Load,
    mode::Mode,
    target::Target,
};
use crate::{memory::resident, turn};

/// How long it takes if nobody says.
const SECONDS: u64 = 60;
/// Rounds after which what is measured has to stay as it is.
const FIRST_ROUNDS: usize = 2;
/// Clients that come and go after each load.
const CHURN: usize = 20;
/// A part of the clients of a load, so that a round takes a minute or two.
const PART: usize = 4;
/// The longest an attack may take.
const ATTACK: Duration = Duration::from_secs(60);
/// Resident memory may grow by so much: an allocator does not give everything back.
const RSS_SLACK: usize = 16 << 20;

/// Channels to which a server without clients is subscribed: the relay's.
const OWN_SUBSCRIPTIONS: usize = 1;

/// What a server holds that is at rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Rest {
    descriptors: usize,
    /// Keys and subscriptions at Redis.
    keys: usize,
    subscriptions: usize,
}

#[tokio::test]
#[ignore = "takes long: make soak"]
async fn nothing_is_left_of_hostile_loads_churn_and_faults() {
    let _alone = turn().await;
    allow_files();
    let seconds = env::var("WOMACK_SOAK_SECONDS").map_or(SECONDS, |seconds| {
        seconds.parse().expect("WOMACK_SOAK_SECONDS is a number")
    });
    let end = Instant::now() + Duration::from_secs(seconds);
    let scene = Scene::start().await;
    let mut measured: Vec<(Rest, usize)> = Vec::new();
    while measured.len() <= FIRST_ROUNDS || Instant::now() < end {
        for (number, load) in LOADS
            .iter()
            .filter(|load| is_for_any_server(load))
            .enumerate()
        {
            scene.attack(load).await;
            scene.churn().await;
            scene.trouble(number).await;
        }
        let rest = scene.rest().await;
        let rss = resident(scene.server().pid()).expect("a process");
        println!(
            "round {}: {rest:?}, resident {} MiB",
            measured.len(),
            rss >> 20
        );
        measured.push((rest, rss));
    }
    let (first, last) = (measured[FIRST_ROUNDS - 1], measured[measured.len() - 1]);
    assert_eq!(first.0, last.0, "{measured:?}");
    assert!(last.1 <= first.1 + RSS_SLACK, "{measured:?}");
}

/// Whether a load needs no server of its own.
fn is_for_any_server(load: &Load) -> bool {
    load.nodes == 1 && load.files.is_none() && load.redis_answers && load.flags.is_empty()
}

/// A server that is attacked again and again.
struct Scene {
    redis: Rc<Redis>,
    target: Target,
    /// What the server holds before anybody comes.
    charge: f64,
}

impl Scene {
    async fn start() -> Self {
        let redis = Rc::new(Redis::start_with(REDIS).await);
        let load = Load {
            flags: &[("--events-key", "events"), ("--presence", "/")],
            ..Load::DEFAULT
        };
        let server = harness::start(&redis, &load, Mode::Suite, "auto").await;
        let target = Target {
            servers: Rc::new(vec![server]),
            redis: redis.clone(),
            clients: 0,
        };
        let mut scene = Self {
            redis,
            target,
            charge: 0.0,
        };
        scene.charge = scene.gauge("womack_memory_bytes").await;
        scene
    }

    fn server(&self) -> &Server {
        &self.target.servers[0]
    }

    async fn attack(&self, load: &Load) {
        let target = Target {
            clients: load.clients.div_ceil(PART),
            ..self.target.clone()
        };
        let held = timeout(ATTACK, (load.attack)(target)).await;
        drop(held.unwrap_or_else(|_| panic!("{} does not end", load.name)));
    }

    /// Clients that behave come, hear a message, and go.
    async fn churn(&self) {
        for number in 0..CHURN {
            let mut client = Client::connect(self.server().address()).await;
            client.subscribe("churn").await;
            let message = number.to_string();
            self.redis.publish("churn", &message).await;
            assert_eq!(client.message("churn").await, message);
        }
    }

    /// Every other time, Redis cuts all subscribers off.
    async fn trouble(&self, number: usize) {
        if number.is_multiple_of(2) {
            let kill = ["CLIENT", "KILL", "TYPE", "pubsub"];
            self.redis.command(&kill).await;
        }
    }

    /// Waits until the server holds no more than before anybody came, and measures it.
    async fn rest(&self) -> Rest {
        eventually("the server to be at rest", async || {
            let sessions = self.gauge("womack_connections").await;
            let charge = self.gauge("womack_memory_bytes").await;
            let is_released = charge <= self.charge + CHARGE_SLACK as f64;
            sessions == 0.0 && is_released && self.subscriptions().await <= OWN_SUBSCRIPTIONS
        })
        .await;
        let pid = self.server().pid();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
        Rest {
            descriptors: descriptors.count(),
            keys: self.count(&["DBSIZE"]).await,
            subscriptions: self.subscriptions().await,
        }
    }

    /// Channels that somebody is subscribed to at Redis.
    async fn subscriptions(&self) -> usize {
        match self.redis.command(&["PUBSUB", "CHANNELS"]).await {
            redis::Value::Array(channels) => channels.len(),
            other => panic!("{other:?}"),
        }
    }

    async fn count(&self, command: &[&str]) -> usize {
        match self.redis.command(command).await {
            redis::Value::Int(count) => usize::try_from(count).expect("no less than none"),
            other => panic!("{other:?}"),
        }
    }

    async fn gauge(&self, name: &str) -> f64 {
        let admin = self.server().admin_address().await;
        let read = Metrics::of(admin.expect("a second listener")).await;
        read.sum(name, "")
    }
}
