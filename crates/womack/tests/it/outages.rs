//! Networks and Redis fail while messages are published: nobody is dropped for it, delivery
//! resumes, and whoever may have missed something is told exactly of that.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use womack_test_support::metrics::Metrics;
use womack_test_support::proxy::Cable;
use womack_test_support::ticker::Ticker;
use womack_test_support::witness::Witness;
use womack_test_support::{Broker, Client, Cluster, Launch, Redis, Sentinel, Server, eventually};

const CHANNEL: &str = "a";
const PUBLISH: (&str, &str) = ("PUBLISH", CHANNEL);
/// How long the network is away.
const CUT: Duration = Duration::from_secs(10);
/// Numbers that come before anything fails.
const BEFORE: usize = 20;

async fn server(broker: &impl Broker) -> Server {
    Launch::new(broker).arg("--gap-notices").start().await
}

async fn witness(server: &Server, channel: &str) -> Witness {
    let witness = Client::connect(server.address()).await;
    Witness::of(witness, channel).await
}

/// Somebody who publishes on `channel` by `command` at one of `masters`, and somebody at `server`
/// who has seen the first of it.
async fn begin(
    server: &Server,
    masters: &[SocketAddr],
    (command, channel): (&'static str, &str),
) -> (Ticker, Witness) {
    let witness = witness(server, channel).await;
    let ticker = Ticker::start(masters, command, channel);
    eventually("numbers", async || witness.seen().len() >= BEFORE).await;
    (ticker, witness)
}

/// Waits until numbers come again, and prints how long that took.
async fn resumed(what: &str, witness: &Witness, since: Instant) {
    eventually("numbers to come again", async || {
        witness.first_after(since).is_some()
    })
    .await;
    let first = witness.first_after(since).expect("it was just there");
    println!("{what}: delivery resumed after {:?}", first - since);
}

/// Ends publishing; the witness has seen all but what it was told of, in so many gaps, which the
/// server has counted.
async fn all_was_told(ticker: Ticker, witnesses: &[(&Server, &Witness, usize)]) {
    let ticks = ticker.finish().await;
    let last = ticks.last().expect("something was published");
    for (server, witness, gaps) in witnesses {
        eventually("the last number", async || witness.has(last)).await;
        assert_eq!(witness.gaps(&ticks), *gaps);
        let metrics = Metrics::of(server.address()).await;
        assert_eq!(metrics.sum("womack_redis_gaps_total", ""), *gaps as f64);
        assert_eq!(metrics.sum("womack_connections_closed_total", ""), 0.0);
    }
}

#[tokio::test]
async fn a_network_that_drops_everything_for_ten_seconds_is_one_exact_gap() {
    let redis = Redis::start().await;
    let cable = Cable::to(redis.address()).await;
    let (far, near) = tokio::join!(server(&cable), server(&redis));
    let near_witness = witness(&near, CHANNEL).await;
    let (ticker, far_witness) = begin(&far, &[redis.address()], PUBLISH).await;
    let cut = Instant::now();
    cable.hold_up();
    eventually("the time of the cut", async || cut.elapsed() >= CUT).await;
    cable.mend();
    resumed("network", &far_witness, Instant::now()).await;
    far.ready().await;
    let witnesses = [(&far, &far_witness, 1), (&near, &near_witness, 0)];
    all_was_told(ticker, &witnesses).await;
}

#[tokio::test]
async fn a_network_that_drops_everything_for_a_moment_costs_nothing() {
    let redis = Redis::start().await;
    let cable = Cable::to(redis.address()).await;
    let server = server(&cable).await;
    let (ticker, witness) = begin(&server, &[redis.address()], PUBLISH).await;
    let cut = Instant::now();
    cable.hold_up();
    eventually("a second", async || cut.elapsed() >= Duration::from_secs(1)).await;
    cable.mend();
    resumed("network, one second", &witness, Instant::now()).await;
    all_was_told(ticker, &[(&server, &witness, 0)]).await;
}

#[tokio::test]
async fn a_redis_that_is_killed_is_one_exact_gap() {
    let mut redis = Redis::start().await;
    let server = server(&redis).await;
    let (ticker, witness) = begin(&server, &[redis.address()], PUBLISH).await;
    redis.stop().await;
    server.unready().await;
    redis.resume().await;
    resumed("redis", &witness, Instant::now()).await;
    server.ready().await;
    all_was_told(ticker, &[(&server, &witness, 1)]).await;
}

#[tokio::test]
async fn a_master_that_is_killed_is_one_exact_gap() {
    let mut sentinel = Sentinel::start().await;
    let server = server(&sentinel).await;
    let masters = [sentinel.master.address(), sentinel.replica.address()];
    let (ticker, witness) = begin(&server, &masters, PUBLISH).await;
    sentinel.master.stop().await;
    sentinel.replica.becomes_master().await;
    resumed("sentinel", &witness, Instant::now()).await;
    server.ready().await;
    all_was_told(ticker, &[(&server, &witness, 1)]).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_that_is_killed_is_a_gap_of_its_own_channels() {
    let mut cluster = Cluster::start().await;
    let server = server(&cluster).await;
    let (dead, alive) = (
        cluster.channel_at(2, "d").await,
        cluster.channel_at(0, "a").await,
    );
    let at = |node: usize| [cluster.nodes[node].address()];
    let (ticker, affected) = begin(&server, &at(2), ("SPUBLISH", &dead)).await;
    let (other, untouched) = begin(&server, &at(0), ("SPUBLISH", &alive)).await;
    cluster.nodes[2].stop().await;
    server.unready().await;
    cluster.nodes[2].resume().await;
    resumed("cluster", &affected, Instant::now()).await;
    server.ready().await;
    all_was_told(ticker, &[(&server, &affected, 1)]).await;
    let ticks = other.finish().await;
    let last = ticks.last().expect("something was published");
    eventually("the last number", async || untouched.has(last)).await;
    assert_eq!(untouched.gaps(&ticks), 0);
}
