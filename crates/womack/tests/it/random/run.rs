//! One run: what is started, what happens meanwhile, what is checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use womack_test_support::faulty_link::FaultyLink;
use womack_test_support::metrics::Metrics;
use womack_test_support::{Broker, Cluster, Launch, Redis, Server};

use super::client::{self, Client};
use super::events::{self, Events};
use super::hostile::Hostile;
use super::plan::{Plan, Troubles};
use super::rest::Rest;
use super::world::{self, EVENTS_KEY, Phase, TIMING, World};
use super::{faults, publisher, report};

/// Seconds of faults between two times of rest.
const ROUND: u64 = 20;
/// Reasons for which a server closes hostile clients.
const CLOSE_REASONS: [&str; 10] = [
    "attachment_timeout",
    "connect_timeout",
    "handshake_timeout",
    "invalid_state",
    "memory_budget",
    "packet_rate",
    "parse_error",
    "payload_too_large",
    "ping_timeout",
    "slow_consumer",
];
/// How often this process looks how late it is.
const TICK: Duration = Duration::from_millis(20);

/// The kinds of Redis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Setup {
    /// One server.
    Single,
    /// Three masters.
    Cluster,
}

/// A Redis and the links to it. It ends when dropped.
struct Backend {
    nodes: Vec<SocketAddr>,
    links: Vec<FaultyLink>,
    url: String,
    _single: Option<Redis>,
    _cluster: Option<Cluster>,
}

impl Backend {
    async fn start(setup: Setup) -> Self {
        match setup {
            Setup::Single => {
                let redis = Redis::start().await;
                let link = FaultyLink::to(redis.address()).await;
                Self {
                    nodes: vec![redis.address()],
                    url: link.url(),
                    links: vec![link],
                    _single: Some(redis),
                    _cluster: None,
                }
            }
            Setup::Cluster => {
                let (cluster, links) = Cluster::start_behind_links().await;
                let addresses = links.iter().map(|link| link.address().to_string());
                let addresses: Vec<_> = addresses.collect();
                Self {
                    nodes: cluster.nodes.iter().map(Broker::address).collect(),
                    url: format!("redis+cluster://{}", addresses.join(",")),
                    links,
                    _single: None,
                    _cluster: Some(cluster),
                }
            }
        }
    }
}

/// Runs a plan with so many seconds of faults, and fails if a promise was broken.
pub(super) async fn run(setup: Setup, plan: &Plan, seconds: u64) {
    let mut backend = Backend::start(setup).await;
    let server = start(plan, &backend.url).await;
    let mut troubles = Troubles::of(plan);
    for link in &backend.links {
        link.set_latency(troubles.latency());
    }
    let links = std::mem::take(&mut backend.links);
    let world = Arc::new(World::new(links, plan.budget.is_some()));
    let mut tasks = JoinSet::new();
    let events = publish_and_listen(&mut tasks, &world, plan, &backend.nodes).await;
    tasks.spawn(watch_lag(world.clone()));
    for number in 0..plan.clients {
        let habits = (plan.seed, plan.keeps_polls);
        let client = Client::new(world.clone(), server.address(), number, habits);
        tasks.spawn(client.run());
    }
    for number in 0..plan.hostile {
        // Half of them fill a small budget; the others do anything.
        let fills_memory = plan.budget.is_some() && number % 2 == 0;
        let habits = (plan.seed, fills_memory);
        let hostile = Hostile::new(world.clone(), server.address(), number, habits);
        tasks.spawn(hostile.run());
    }
    let rest = Rest {
        world: world.clone(),
        events,
        server: server.address(),
        nodes: backend.nodes.clone(),
        grace: plan.grace,
    };
    let mut left = seconds;
    while left > 0 && world.violations().is_empty() {
        let round = left.min(ROUND);
        left -= round;
        world.phase.send_replace(Phase::Chaos);
        let end = Instant::now() + Duration::from_secs(round);
        faults::run(&world, &mut troubles, end).await;
        rest.of_all().await;
    }
    rest.of_nobody().await;
    let evicted = count_closes(&world, server.address()).await;
    let violations = report::print(&world, plan, setup);
    assert_eq!(
        violations, 0,
        "broken promises; WOMACK_RANDOM_SEED={}",
        plan.seed
    );
    assert!(
        plan.budget.is_none() || evicted > 0,
        "nobody was closed for memory; WOMACK_RANDOM_SEED={}",
        plan.seed
    );
}

/// Counts for the report why the server has closed clients; returns how often for want of memory.
async fn count_closes(world: &World, server: SocketAddr) -> u64 {
    let metrics = Metrics::of(server).await;
    let times = |reason| {
        let label = format!("reason=\"{reason}\"");
        metrics.sum("womack_connections_closed_total", &label) as u64
    };
    for reason in CLOSE_REASONS {
        for _ in 0..times(reason) {
            world.count("closed by the server", reason);
        }
    }
    times("memory_budget")
}

async fn start(plan: &Plan, url: &str) -> Server {
    let seconds = |time: Duration| time.as_secs_f64().to_string();
    let subscribe = Duration::from_millis(TIMING.subscribe);
    // The broker's address is in the URL.
    let launch = Launch::new(&SocketAddr::from(([127, 0, 0, 1], 1)));
    let launch = match plan.budget {
        // What a shard takes whoever is there is a part of the budget.
        Some(budget) => launch.flag("--memory-budget", budget).flag("--shards", "2"),
        None => launch,
    };
    launch
        .flag("--redis-url", url)
        .flag("--events-key", EVENTS_KEY)
        .flag("--egress", &plan.egress)
        .flag("--subscribe-timeout-seconds", &seconds(subscribe))
        .flag("--unsubscribe-grace-seconds", &seconds(plan.grace))
        .flag("--ping-interval", "2")
        .flag("--ping-timeout", "6")
        .arg("--gap-notices")
        .start()
        .await
}

/// Starts who publishes numbers, and who hears of clients.
async fn publish_and_listen(
    tasks: &mut JoinSet<()>,
    world: &Arc<World>,
    plan: &Plan,
    nodes: &[SocketAddr],
) -> Arc<Events> {
    let events = Arc::<Events>::default();
    let (announced, announcements) = unbounded_channel();
    let listener = events::listener(nodes[world::node_of_events(nodes.len())]).await;
    tasks.spawn(events.clone().run(world.clone(), listener, announced));
    tasks.spawn(publisher::greet(
        world.clone(),
        nodes.to_vec(),
        announcements,
    ));
    for (number, channel) in (0..).zip(client::shared()) {
        let node = nodes[world.link_of(&channel)];
        let is_sharded = nodes.len() > 1 && number % 2 == 1;
        let command = if is_sharded { "SPUBLISH" } else { "PUBLISH" };
        let pace = (command, plan.seed, number);
        tasks.spawn(publisher::run(world.clone(), node, channel, pace));
    }
    events
}

/// Notes how late this process is, which nothing can be sooner than.
async fn watch_lag(world: Arc<World>) {
    loop {
        let due = Instant::now() + TICK;
        sleep_until(due).await;
        let late = due.elapsed().as_millis();
        world.note_lag(u64::try_from(late).unwrap_or(u64::MAX));
    }
}
