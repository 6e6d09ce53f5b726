//! Runs a load against servers of its own, and judges what they took.

use std::{
    rc::Rc,
    sync::Once,
    time::{Duration, Instant},
};

use tokio::time::{interval, timeout};
use womack_test_support::{Broker, Launch, Redis, Server};

use super::{
    load::{Held, Load},
    mode::Mode,
    outcome::{MIB, Node, Outcome},
    sampler::Sampler,
    site::Site,
    witness::{Scene, Witness},
};
use crate::{memory::peak, turn};

/// A Redis that does not cut a server off that is slow to read what is published.
pub(crate) const REDIS: &[&str] = &["--client-output-buffer-limit", "pubsub 0 0 0"];
/// The budget of each server, as its flag and in bytes.
const BUDGET: &str = "128M";
pub(crate) const BUDGET_BYTES: usize = 128 * MIB;
/// Files that the test may have open; a server may have as many.
const FILES: usize = 20_000;
/// The longest that an attack may take.
const ATTACK: Duration = Duration::from_secs(120);
/// After an attack, until a server has read what was sent.
const SETTLING: Duration = Duration::from_millis(200);
/// What newcomers hold who have not gone yet.
const CHARGE_SLACK: usize = 512 << 10;
/// Between two looks at a server.
const LOOKS: Duration = Duration::from_millis(20);

/// Runs a load with each write backend that the mode names, and fails with all that is wrong.
pub(crate) async fn run(load: &Load) {
    let _alone = turn().await;
    allow_files();
    let mode = Mode::of_environment();
    let mut faults = Vec::new();
    for egress in mode.egresses() {
        let outcome = attack(load, mode, &egress).await;
        outcome.tell();
        faults.extend(outcome.faults(mode));
    }
    assert!(faults.is_empty(), "{}:\n{}", load.name, faults.join("\n"));
}

/// Raises the number of open files of this process once.
pub(crate) fn allow_files() {
    static ALLOWED: Once = Once::new();
    ALLOWED.call_once(|| {
        let (pid, soft) = (std::process::id().to_string(), format!("--nofile={FILES}:"));
        let status = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &soft])
            .status();
        assert!(status.expect("prlimit runs").success(), "{soft}");
    });
}

/// Starts a server as a load wants it.
pub(crate) async fn start(redis: &Redis, load: &Load, mode: Mode, egress: &str) -> Server {
    let flags = [
        ("--memory-budget", BUDGET),
        ("--shards", "1"),
        ("--admin-listen", "127.0.0.1:0"),
        ("--egress", egress),
    ];
    let all = flags.iter().chain(mode.deadlines()).chain(load.flags);
    let launch = all.fold(Launch::new(redis), |launch, (name, value)| match *value {
        "" => launch.arg(name),
        value => launch.flag(name, value),
    });
    launch.start_unready().await
}

async fn attack(load: &Load, mode: Mode, egress: &str) -> Outcome {
    let redis = Rc::new(Redis::start_with(REDIS).await);
    let mut servers = Vec::new();
    for _ in 0..load.nodes {
        servers.push(start(&redis, load, mode, egress).await);
    }
    let mut samplers = Vec::new();
    for server in &servers {
        let admin = server.admin_address().await.expect("a second listener");
        samplers.push(Sampler::start(server.pid(), admin));
    }
    let witness = Witness::start(Scene {
        nodes: servers.iter().map(Server::address).collect(),
        redis: redis.url(),
        interval: mode.witness_interval(),
    })
    .await;
    // What is there while nobody attacks, newcomers and all.
    rest(SETTLING).await;
    let begins = Instant::now();
    let site = Site {
        servers: Rc::new(servers),
        redis: redis.clone(),
        clients: mode.clients(load.clients, load.most_clients),
    };
    let held = timeout(ATTACK, (load.attack)(site.clone())).await;
    let held = held.expect("an attack that ends");
    rest(SETTLING).await;
    let usual: Vec<_> = samplers
        .iter()
        .map(|sampler| usual_charge(sampler, begins))
        .collect();
    let let_go = match mode.deadline() {
        Some(deadline) if load.has_deadline => falls(&samplers, &usual, deadline).await,
        _ => {
            rest(mode.stays(load.stays)).await;
            None
        }
    };
    let still_held: Vec<_> = samplers
        .iter()
        .zip(&usual)
        .map(|(sampler, usual)| sampler.charge().unwrap_or_default().saturating_sub(*usual))
        .collect();
    let Held { sockets, tasks } = held;
    drop(tasks);
    drop(sockets);
    let released = falls(&samplers, &usual, mode.release()).await;
    let testimony = witness.stop();
    let samples = samplers.into_iter().map(Sampler::stop);
    let nodes = samples.zip(site.servers.iter()).zip(still_held);
    Outcome {
        name: load.name,
        transport: load.transport,
        state: load.state,
        egress: egress.to_owned(),
        clients: site.clients,
        nodes: nodes
            .map(|((samples, server), still_held)| {
                Node::new(&samples, begins, peak(server), still_held)
            })
            .collect(),
        has_deadline: load.has_deadline && mode.deadline().is_some(),
        redis_answers: load.redis_answers,
        let_go,
        released,
        testimony,
    }
}

/// The most that a server held before `begins`.
fn usual_charge(sampler: &Sampler, begins: Instant) -> usize {
    let samples = sampler.samples();
    let before = samples.iter().filter(|sample| sample.at < begins);
    let most = before.map(|sample| sample.charge).max();
    most.expect("a sample before the attack")
}

/// Waits until all servers hold what is usual, or for `patience`; returns how long that took.
async fn falls(samplers: &[Sampler], usual: &[usize], patience: Duration) -> Option<Duration> {
    let began = Instant::now();
    let fallen = async {
        let mut looks = interval(LOOKS);
        loop {
            looks.tick().await;
            let mut nodes = samplers.iter().zip(usual);
            let is_usual = nodes.all(|(sampler, usual)| {
                let last = sampler.samples().last().copied();
                last.is_some_and(|last| last.at > began && last.charge <= usual + CHARGE_SLACK)
            });
            if is_usual {
                return;
            }
        }
    };
    timeout(patience, fallen).await.ok()?;
    Some(began.elapsed())
}

/// Lets a server do what it has to do.
async fn rest(time: Duration) {
    if time.is_zero() {
        return;
    }
    let mut rest = interval(time);
    rest.tick().await;
    rest.tick().await;
}
