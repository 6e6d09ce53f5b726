//! Nodes that share a secret take messages of one another, and of nobody else who may publish at
//! their Redis.

use womack_test_support::metrics::{self, Metrics};
use womack_test_support::node::{Node, node_of};
use womack_test_support::{Client, Launch, Polling, Redis, Server};

/// The node that tests play.
const NODE: u32 = 0x0bad_cafe;
const SECRET: &str = "a secret of all nodes";
const UNREADABLE: &str = "womack_relay_unreadable_total";

fn with_secret(redis: &Redis, secret: &str) -> Launch {
    Launch::new(redis).env("WOMACK_RELAY_SECRET", secret)
}

async fn skipped(server: &Server, reason: &str, count: f64) {
    let labels = format!("reason=\"{reason}\"");
    metrics::reaches(server.address(), UNREADABLE, &labels, count).await;
}

#[tokio::test]
async fn nodes_with_the_same_secret_carry_requests_for_each_other() {
    let redis = Redis::start().await;
    let launch = with_secret(&redis, SECRET);
    let (owner, ingress) = tokio::join!(launch.clone().start(), launch.start());
    let client = Polling::connect(owner.address()).await;
    let mut client = client.by_way_of(ingress.address());
    client.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
    let polling = Polling::connect(owner.address()).await;
    let mut socket = Client::raw(ingress.address(), &polling.upgrade_path()).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    for server in [&owner, &ingress] {
        let metrics = Metrics::of(server.address()).await;
        assert!(metrics.sum(UNREADABLE, "") < 0.5, "{}", metrics.text());
    }
}

#[tokio::test]
async fn messages_without_the_mac_of_the_secret_are_dropped_counted_and_named_once() {
    let redis = Redis::start().await;
    let server = with_secret(&redis, SECRET).start().await;
    let other = with_secret(&redis, "another secret of nodes")
        .flag("--relay-timeout-seconds", "0.5")
        .start()
        .await;
    let polling = Polling::connect(server.address()).await;
    let mut forger = Node::join(&redis, NODE).await;
    let to = node_of(polling.sid());
    for number in 0..3 {
        forger.say_first_form(to, b'h', number, b"").await;
    }
    skipped(&server, "missing_mac", 3.0).await;
    let line = server.logged("a message of another node was dropped").await;
    assert!(line.contains("relay-secret"), "{line}");

    // A node with another secret hears nothing of it either, and its client is turned away.
    let client = polling.by_way_of(other.address());
    assert_eq!(client.post("2").await.status, 400);
    let labels = r#"reason="wrong_mac""#;
    assert!(Metrics::of(server.address()).await.sum(UNREADABLE, labels) > 0.5);
    let log = server.log();
    let lines = log.iter().filter(|line| line.contains("was dropped"));
    assert_eq!(lines.count(), 1, "{log:?}");
    assert!(!log.iter().any(|line| line.contains(SECRET)), "{log:?}");
}

#[tokio::test]
async fn what_a_node_said_counts_once() {
    let redis = Redis::start().await;
    let launch = with_secret(&redis, SECRET);
    let (owner, ingress) = tokio::join!(launch.clone().start(), launch.start());
    let client = Polling::connect(owner.address()).await;
    let id = node_of(client.sid());
    // Somebody listens on the channel of the owner.
    let mut listener = Node::join(&redis, id).await;
    let mut client = client.by_way_of(ingress.address());
    client.subscribe("a").await;
    let heard = listener.hear().await;
    assert_eq!(heard[0], 0xb8, "a message with a MAC");
    let channel = format!("womack-relay:{id:08x}");
    redis.publish_bytes(channel.as_bytes(), &heard).await;
    skipped(&owner, "repeated", 1.0).await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn a_node_without_the_secret_says_that_it_lacks_it() {
    let redis = Redis::start().await;
    let (owner, ingress) = tokio::join!(
        Server::start(&redis),
        with_secret(&redis, SECRET)
            .flag("--relay-timeout-seconds", "0.5")
            .start()
    );
    let client = Polling::connect(owner.address()).await;
    let client = client.by_way_of(ingress.address());
    assert_eq!(client.post("2").await.status, 400);
    owner.logged("set the same relay-secret here").await;
}

#[tokio::test]
async fn a_secret_is_neither_short_nor_shown() {
    let redis = Redis::start().await;
    let refusal = with_secret(&redis, "0123456789abcde").refused().await;
    let stderr = refusal.stderr.join("\n");
    assert!(stderr.contains("relay-secret"), "{stderr}");
    assert!(!stderr.contains("0123456789"), "{stderr}");
    for command in ["check", "--help"] {
        let launch = Launch::bare().env("WOMACK_RELAY_SECRET", SECRET);
        let launch = launch.env("WOMACK_REDIS_URL", "redis://:hush@localhost");
        let (_, lines) = launch.arg(command).output().await;
        let text = lines.join("\n");
        assert!(text.contains("relay"), "{text}");
        assert!(!text.contains(SECRET) && !text.contains("hush"), "{text}");
    }
}
