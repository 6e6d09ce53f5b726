//! A cluster of which a part is dead or silent.

use std::net::Ipv4Addr;

use serde_json::json;
use tokio::net::TcpListener;
use womack_test_support::{Broker, Client, Cluster, Launch, eventually, metrics};

#[tokio::test]
async fn a_dead_master_at_the_start_costs_its_own_channels_only() {
    let mut cluster = Cluster::start().await;
    let (alive, dead) = (
        cluster.channel_at(0, "a").await,
        cluster.channel_at(2, "d").await,
    );
    cluster.nodes[2].stop().await;
    let launch = Launch::new(&cluster).flag("--subscribe-timeout-seconds", "2");
    let server = launch.start_unready().await;
    for _ in 0..4 {
        let mut client = Client::connect(server.address()).await;
        client.subscribe(&alive).await;
        let refused = client.call("subscribe", &json!(dead)).await;
        assert_eq!(refused["error"], "unavailable", "{refused}");
        client.subscribe(&alive).await;
        assert_eq!(cluster.spublish(0, &alive, "1").await, 1);
        assert_eq!(client.message(&alive).await, "1");
    }
}

#[tokio::test]
async fn a_named_node_that_answers_nothing_keeps_nobody_waiting() {
    let cluster = Cluster::start().await;
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    // The system takes connections for it, and nobody reads them.
    let address = silent.local_addr().expect("an address");
    let others = cluster.nodes.iter().map(|node| node.address().to_string());
    let nodes = [address.to_string()].into_iter().chain(others);
    let url = format!("redis+cluster://{}", nodes.collect::<Vec<_>>().join(","));
    let server = Launch::new(&cluster)
        .flag("--redis-url", &url)
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    for number in 0..7 {
        let channel = format!("c{number}");
        client.subscribe(&channel).await;
        cluster.nodes[0].publish(&channel, "1").await;
        assert_eq!(client.message(&channel).await, "1");
    }
}

#[tokio::test]
async fn a_client_that_came_during_a_gap_is_told_of_the_next_while_another_is_open() {
    let mut cluster = Cluster::start().await;
    let (alive, dead) = (
        cluster.channel_at(0, "a").await,
        cluster.channel_at(2, "d").await,
    );
    let server = Launch::new(&cluster).arg("--gap-notices").start().await;
    let mut early = Client::connect(server.address()).await;
    early.subscribe(&dead).await;
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe(&alive).await;
    cluster.nodes[2].stop().await;
    server.logged("redis is gone, clients stay connected").await;
    // The first gap is open, and stays so. A client comes during the second.
    cluster.nodes[0].stop().await;
    metrics::reaches(server.address(), "womack_redis_gaps_total", "", 2.0).await;
    let mut late = Client::connect(server.address()).await;
    let ack = late.ask("subscribe", &json!(alive)).await;
    cluster.nodes[0].resume().await;
    assert_eq!(late.answer(ack).await["ok"], true);
    let packet = witness.packet().await;
    assert!(packet.contains("womack:gap"), "{packet}");
    // The third is the first that it is told of.
    cluster.nodes[0]
        .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await;
    for client in [&mut late, &mut witness] {
        let packet = client.packet().await;
        assert!(
            packet.contains("womack:gap") && packet.contains(&alive),
            "{packet}"
        );
    }
    eventually("messages to come again", async || {
        cluster.spublish(0, &alive, "1").await == 1
    })
    .await;
    assert_eq!(late.message(&alive).await, "1");
    cluster.nodes[2].resume().await;
    let packet = early.packet().await;
    assert!(
        packet.contains("womack:gap") && packet.contains(&dead),
        "{packet}"
    );
}
