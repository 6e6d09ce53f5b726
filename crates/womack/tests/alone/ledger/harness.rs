//! Runs a load against servers of its own, and checks what they used.

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
    target::Target,
    witness::{Witness, WitnessSettings},
};
use crate::{memory::peak, turn};

/// A Redis that does not cut a server off that is slow to read what is published.
pub(crate) const REDIS: &[&str] = &["--client-output-buffer-limit", "pubsub 0 0 0"];
/// The budget of each server, as its flag and in bytes.
const BUDGET: &str = "128M";
pub(crate) const BUDGET_BYTES: usize = 128 * MIB;
/// Files that the test may have open; a server may have as many.
const FILES: usize = 20_000;
/// The longest an attack may take.
const ATTACK: Duration = Duration::from_secs(120);
/// Time for a server to read what was sent.
const SETTLING: Duration = Duration::from_millis(200);
/// The charge of newcomers whose connections are just closing.
pub(crate) const CHARGE_SLACK: usize = 512 << 10;
/// Interval at which the charges are compared with the baseline.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs a load with each write backend of the mode, and fails with all violations.
pub(crate) async fn run(load: &Load) {
    let _alone = turn().await;
    allow_files();
    let mode = Mode::of_environment();
    let mut violations = Vec::new();
    for egress in mode.egresses() {
        let outcome = attack(load, mode, &egress).await;
        outcome.print();
        violations.extend(outcome.violations(mode));
    }
    assert!(
        violations.is_empty(),
        "{}:\n{}",
        load.name,
        violations.join("\n")
    );
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
    let launch = match load.files {
        Some(most) => launch.with_files(most),
        None => launch,
    };
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
    let witness = Witness::start(WitnessSettings {
        nodes: servers.iter().map(Server::address).collect(),
        redis: redis.url(),
        interval: mode.witness_interval(),
    })
    .await;
    // The baseline includes the newcomers.
    pause(SETTLING).await;
    let begins = Instant::now();
    let target = Target {
        servers: Rc::new(servers),
        redis: redis.clone(),
        clients: mode.clients(load.clients, load.most_clients),
    };
    let held = timeout(ATTACK, (load.attack)(target.clone())).await;
    let held = held.expect("an attack that ends");
    pause(SETTLING).await;
    let baseline: Vec<_> = samplers
        .iter()
        .map(|sampler| baseline_charge(sampler, begins))
        .collect();
    let released_by_deadline = match mode.deadline() {
        Some(deadline) if load.has_deadline => reach_baseline(&samplers, &baseline, deadline).await,
        _ => {
            pause(mode.hold_time(load.hold_time)).await;
            None
        }
    };
    let still_held: Vec<_> = samplers
        .iter()
        .zip(&baseline)
        .map(|(sampler, baseline)| {
            sampler
                .charge()
                .unwrap_or_default()
                .saturating_sub(*baseline)
        })
        .collect();
    let Held { sockets, tasks } = held;
    drop(tasks);
    drop(sockets);
    let released = reach_baseline(&samplers, &baseline, mode.release()).await;
    let service = witness.stop();
    let samples = samplers.into_iter().map(Sampler::stop);
    let nodes = samples.zip(target.servers.iter()).zip(still_held);
    Outcome {
        name: load.name,
        transport: load.transport,
        state: load.state,
        egress: egress.to_owned(),
        clients: target.clients,
        nodes: nodes
            .map(|((samples, server), still_held)| {
                Node::new(&samples, begins, peak(server), still_held)
            })
            .collect(),
        has_deadline: load.has_deadline && mode.deadline().is_some(),
        redis_answers: load.redis_answers,
        released_by_deadline,
        released,
        service,
    }
}

/// The highest charge of a server before `begins`.
fn baseline_charge(sampler: &Sampler, begins: Instant) -> usize {
    let samples = sampler.samples();
    let before = samples.iter().filter(|sample| sample.at < begins);
    let most = before.map(|sample| sample.charge).max();
    most.expect("a sample before the attack")
}

/// Waits until the charges of all servers are back at the baseline, for `patience` at most; returns
/// how long that took.
async fn reach_baseline(
    samplers: &[Sampler],
    baseline: &[usize],
    patience: Duration,
) -> Option<Duration> {
    let began = Instant::now();
    let reached = async {
        let mut ticks = interval(POLL_INTERVAL);
        loop {
            ticks.tick().await;
            let mut nodes = samplers.iter().zip(baseline);
            let is_reached = nodes.all(|(sampler, baseline)| {
                let last = sampler.samples().last().copied();
                last.is_some_and(|last| last.at > began && last.charge <= baseline + CHARGE_SLACK)
            });
            if is_reached {
                return;
            }
        }
    };
    timeout(patience, reached).await.ok()?;
    Some(began.elapsed())
}

/// Waits, so that a server can work off its input.
async fn pause(time: Duration) {
    if time.is_zero() {
        return;
    }
    let mut rest = interval(time);
    rest.tick().await;
    rest.tick().await;
}
