//! A cluster: channels are asked for where their slots are, and followed when those move.

use serde_json::{Value, json};
use womack_test_support::tls::Certificates;
use womack_test_support::{Client, Cluster, Launch, eventually, metrics};

/// The argument of the next `womack:gap`.
async fn gap(client: &mut Client) -> Value {
    let packet = client.packet().await;
    let event = packet.strip_prefix("42").expect("an event");
    let gap: Value = serde_json::from_str(event).expect("JSON");
    assert_eq!(gap[0], "womack:gap", "{packet}");
    assert!(gap[1]["from"].as_u64() <= gap[1]["to"].as_u64());
    gap[1]["channels"].clone()
}

/// Whatever is published arrives at a server launched with `launch`, by whichever node.
async fn serves(launch: Launch, cluster: &Cluster) {
    let server = launch.clone().start().await;
    let mut client = Client::connect(server.address()).await;
    for node in 0..3 {
        let channel = cluster.channel_at(node, "a").await;
        client.subscribe(&channel).await;
        assert_eq!(cluster.spublish(node, &channel, "1").await, 1);
        assert_eq!(client.message(&channel).await, "1");
        // Plain messages come by whichever node they were given to.
        for (at, other) in cluster.nodes.iter().enumerate() {
            other.publish(&channel, &at.to_string()).await;
            assert_eq!(client.message(&channel).await, at.to_string());
        }
        let publish = Launch::bare().flag("publish", &channel).arg("4");
        let publish = publish.like(&launch);
        assert_eq!(publish.output().await.0, Some(0));
        assert_eq!(client.message(&channel).await, "4");
        client.unsubscribe(&channel).await;
        let node = &cluster.nodes[node];
        eventually("UNSUBSCRIBE", async || {
            node.subscribers(&channel).await == 0
        })
        .await;
    }
}

/// A server launched with `launch` follows a slot that moves.
async fn follows(launch: Launch, cluster: &Cluster) {
    let server = launch.arg("--gap-notices").start().await;
    let (moving, staying) = (
        cluster.channel_at(0, "m").await,
        cluster.channel_at(0, "s").await,
    );
    let mut both = Client::connect(server.address()).await;
    let mut other = Client::connect(server.address()).await;
    both.subscribe(&moving).await;
    both.subscribe(&staying).await;
    other.subscribe(&staying).await;
    let (_, slot) = cluster.owner(&moving).await;
    cluster.move_slot(slot, 0, 1).await;
    assert_eq!(gap(&mut both).await, json!([moving]));
    assert_eq!(cluster.spublish(1, &moving, "1").await, 1);
    assert_eq!(both.message(&moving).await, "1");
    // Through whom it comes has changed, but it comes once.
    cluster.nodes[2].publish(&moving, "2").await;
    assert_eq!(both.message(&moving).await, "2");
    cluster.spublish(0, &staying, "3").await;
    assert_eq!(both.message(&staying).await, "3");
    assert_eq!(other.message(&staying).await, "3");
    // And a newcomer finds the slot where it is.
    other.subscribe(&moving).await;
    cluster.spublish(1, &moving, "4").await;
    assert_eq!(other.message(&moving).await, "4");
    let read = metrics::Metrics::of(server.address()).await;
    assert!((read.sum("womack_redis_gaps_total", "") - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn publishers_may_publish_for_a_shard_or_for_all() {
    let cluster = Cluster::start().await;
    serves(Launch::new(&cluster), &cluster).await;
}

#[tokio::test]
async fn a_slot_that_moves_is_followed_and_only_its_channels_have_a_gap() {
    let cluster = Cluster::start().await;
    follows(Launch::new(&cluster), &cluster).await;
}

#[tokio::test]
async fn a_cluster_is_served_and_followed_by_tls_too() {
    let made = Certificates::new();
    let cluster = Cluster::start_secure(&made).await;
    let launch = || made.of_client(Launch::new(&cluster));
    serves(launch(), &cluster).await;
    follows(launch(), &cluster).await;
}

#[tokio::test]
async fn a_node_that_dies_takes_nothing_but_its_own_channels() {
    let mut cluster = Cluster::start().await;
    let server = Launch::new(&cluster).arg("--gap-notices").start().await;
    let (dead, alive) = (
        cluster.channel_at(2, "d").await,
        cluster.channel_at(0, "a").await,
    );
    let mut both = Client::connect(server.address()).await;
    let mut other = Client::connect(server.address()).await;
    both.subscribe(&dead).await;
    both.subscribe(&alive).await;
    other.subscribe(&alive).await;
    cluster.nodes[2].stop().await;
    server.unready().await;
    cluster.spublish(0, &alive, "1").await;
    for client in [&mut both, &mut other] {
        assert_eq!(client.message(&alive).await, "1");
    }
    cluster.nodes[2].resume().await;
    server.ready().await;
    assert_eq!(gap(&mut both).await, json!([dead]));
    cluster.agrees().await;
    cluster.spublish(2, &dead, "2").await;
    assert_eq!(both.message(&dead).await, "2");
    cluster.spublish(0, &alive, "3").await;
    // Who had no channel there has heard of nothing.
    assert_eq!(other.message(&alive).await, "3");
}
