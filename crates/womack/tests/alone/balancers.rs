//! Two nodes behind the balancers of production, with the configurations that operators are given
//! and without sticky sessions.

use std::env;

use womack_test_support::balancer::Balancer;
use womack_test_support::metrics::Metrics;
use womack_test_support::{Client, Fleet, Launch, Redis, Server, Signal, Voyage, http};

use crate::turn;

/// How many clients sail; `WOMACK_FLEET` says otherwise. Five hundred are what production is held
/// to, on a machine that does nothing else.
const CLIENTS: usize = 40;
/// Messages published in a second.
const RATE: u32 = 200;

fn clients() -> usize {
    let count = env::var("WOMACK_FLEET").ok();
    count.map_or(CLIENTS, |count| count.parse().expect("a number of clients"))
}

/// A node whose drain is seen by a balancer, and whose log tells of refused requests.
async fn node(redis: &Redis) -> Server {
    Launch::new(redis)
        .flag("--drain-delay", "1.5")
        .flag("--drain-seconds", "2")
        .flag("--trusted-proxy", "127.0.0.1")
        .env("RUST_LOG", "info,womack::http=debug")
        .start()
        .await
}

/// Nobody asked a node for a session that it should have known.
fn knew_every_session(node: &Server) {
    let log = node.log();
    let unknown: Vec<_> = log
        .iter()
        .filter(|line| line.contains("unknown_sid"))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// All clients got everything while they were there. For how long they were away depends on what
/// else the machine does, and is only told.
fn went_well(voyage: &Voyage) {
    let (sent, worst) = (voyage.sent, voyage.worst_millis);
    println!("{sent} messages, nobody was away for longer than {worst} ms");
    assert!(voyage.complaints.is_empty(), "{:?}", voyage.complaints);
}

async fn rolling_restart(redis: &Redis, nodes: &mut [Server; 2], balancer: &Balancer) {
    let mut fleet = Fleet::connect(balancer.address(), redis, clients()).await;
    fleet.publish(RATE).await;
    for node in nodes.iter_mut() {
        fleet.mark().await;
        node.stop().await;
        knew_every_session(node);
        let again = node.launch().at(node.address());
        *node = again.start().await;
        fleet.settle().await;
    }
    let voyage = fleet.finish().await;
    nodes.iter().for_each(knew_every_session);
    went_well(&voyage);
    // Each client was at one of the nodes when that was stopped, but at none without need.
    assert!(
        voyage.losses.iter().all(|&losses| losses <= 2),
        "{voyage:?}"
    );
}

#[tokio::test]
async fn a_rolling_restart_behind_haproxy_loses_nothing() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let (one, other) = tokio::join!(node(&redis), node(&redis));
    let balancer = Balancer::haproxy([one.address(), other.address()]).await;
    rolling_restart(&redis, &mut [one, other], &balancer).await;
}

#[tokio::test]
async fn a_rolling_restart_behind_nginx_loses_nothing() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let (one, other) = tokio::join!(node(&redis), node(&redis));
    let balancer = Balancer::nginx([one.address(), other.address()]).await;
    rolling_restart(&redis, &mut [one, other], &balancer).await;
}

#[tokio::test]
async fn the_death_of_a_node_disturbs_nobody_but_its_clients() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let (mut one, other) = tokio::join!(node(&redis), node(&redis));
    let balancer = Balancer::haproxy([one.address(), other.address()]).await;
    let mut fleet = Fleet::connect(balancer.address(), &redis, clients()).await;
    let mut witness = Client::connect(other.address()).await;
    witness.subscribe("a").await;
    fleet.publish(RATE).await;
    let metrics = Metrics::of(one.address()).await;
    // Those who are connected there, and whose sessions are there.
    let affected = metrics.sum("womack_connections", "")
        + metrics.sum("womack_relay_tunnels", "")
        + metrics.sum("womack_relay_under_way", "");
    let polling = Metrics::of(other.address()).await;
    let polling = polling.sum("womack_connections", r#"transport="polling""#);
    one.signal(Signal::Kill).await;
    one.exit().await;
    fleet.settle().await;
    let again = one.launch().at(one.address());
    let _one = again.start().await;
    redis.publish("a", "1").await;
    assert_eq!(witness.message("a").await, "1");
    let voyage = fleet.finish().await;
    went_well(&voyage);
    let lost = voyage.losses.iter().filter(|&&losses| losses > 0).count();
    // Any request of a polling client may have been on its way through the node.
    assert!(
        lost as f64 <= affected + polling,
        "{lost} of {affected} + {polling}"
    );
    assert!(
        voyage.losses.iter().all(|&losses| losses <= 1),
        "{voyage:?}"
    );
}

#[tokio::test]
async fn clients_are_not_told_how_long_a_node_keeps_the_connection_of_a_balancer() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let (one, other) = tokio::join!(node(&redis), node(&redis));
    let nodes = [one.address(), other.address()];
    let told = http::get(one.address(), "/healthz").await;
    assert_eq!(told.header("keep-alive"), "timeout=75");
    for balancer in [Balancer::haproxy(nodes).await, Balancer::nginx(nodes).await] {
        let answer = http::get(balancer.address(), "/womack.js").await;
        assert_eq!((answer.status, answer.header("keep-alive")), (200, ""));
    }
}

#[tokio::test]
async fn balancers_hide_what_is_for_operators() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let (one, other) = tokio::join!(node(&redis), node(&redis));
    let nodes = [one.address(), other.address()];
    for balancer in [Balancer::haproxy(nodes).await, Balancer::nginx(nodes).await] {
        for path in [
            "/healthz",
            "/readyz",
            "/metrics",
            "/stats",
            "/explain?channel=a",
            "/dashboard",
            "/dashboard.css",
            "/dashboard.js",
            "/chart.js",
        ] {
            assert_eq!(http::get(one.address(), path).await.status, 200, "{path}");
            // Nor does another spelling lead there.
            let encoded = format!("/%{:x}{}", path.as_bytes()[1], &path[2..]);
            for path in [path, &encoded, &format!("/{path}")] {
                let answer = http::get(balancer.address(), path).await;
                assert_eq!(answer.status, 404, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn haproxy_may_name_clients_by_the_proxy_protocol() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--trusted-proxy", "127.0.0.1");
    let launch = launch.arg("--proxy-protocol").arg("--debug");
    let (one, other) = tokio::join!(launch.clone().start_unready(), launch.start_unready());
    let nodes = [one.address(), other.address()];
    let proxied = |text: String| {
        nodes.iter().fold(text, |text, node| {
            text.replace(&node.to_string(), &format!("{node} send-proxy-v2"))
        })
    };
    let balancer = Balancer::haproxy_with(nodes, proxied).await;
    let mut client = Client::connect(balancer.address()).await;
    client.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}
