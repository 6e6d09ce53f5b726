//! Slots that move, and masters that become replicas and keep their connections: everything but
//! the subscriptions, which other tests follow.

use std::net::SocketAddr;

use serde_json::json;
use womack_test_support::events::ServerEvents;
use womack_test_support::http::{self, Method};
use womack_test_support::{
    Broker, Client, Cluster, Launch, Redis, Server, Signal, eventually, free_address, within,
};

/// In a cluster all keys of server events have to lie in one slot.
const EVENTS: &str = "{womack}:event";

fn launch(broker: &impl Broker) -> Launch {
    Launch::new(broker)
        .flag("--events-key", EVENTS)
        .flag("--node-timeout-seconds", "1")
        .arg("--presence=/")
}

/// Asks again and again until so many members of `a` are told.
async fn becomes(client: &mut Client, count: u64) {
    within("another number of members", async {
        loop {
            let answer = client.call("presence", &json!("a")).await;
            if answer["ok"] == true && answer["count"] == count {
                return;
            }
        }
    })
    .await;
}

/// A node is killed, and one that lives tells that its client, the only one, is gone.
async fn only_the_dead_are_gone(events: &mut ServerEvents, launch: &Launch) {
    let mut doomed = launch.clone().start().await;
    let mut client = Client::connect(doomed.address()).await;
    client.subscribe("a").await;
    let session = events.expect("subscribe", "a").await["session_id"].clone();
    doomed.signal(Signal::Kill).await;
    doomed.exit().await;
    let gone = events.expect("unsubscribe", "a").await;
    assert_eq!(gone["session_id"], session);
}

#[tokio::test]
async fn server_events_follow_the_slot_of_their_key_and_nobody_alive_is_announced_as_gone() {
    let cluster = Cluster::start().await;
    let launch = launch(&cluster);
    let one = launch.clone().start().await;
    let mut ann = Client::connect(one.address()).await;
    let (owner, slot) = cluster.owner_of_key(EVENTS).await;
    // Events are heard at every node.
    let mut events = ServerEvents::below(EVENTS, &cluster.nodes[owner].address()).await;
    ann.subscribe("a").await;
    events.expect("subscribe", "a").await;
    becomes(&mut ann, 1).await;
    cluster.migrate_slot(slot, owner, (owner + 1) % 3).await;
    becomes(&mut ann, 1).await;
    let other = launch.clone().start().await;
    let mut bob = Client::connect(other.address()).await;
    bob.subscribe("a").await;
    events.expect("subscribe", "a").await;
    becomes(&mut bob, 2).await;
    only_the_dead_are_gone(&mut events, &launch).await;
    becomes(&mut ann, 2).await;
}

/// Waits until a field of `INFO replication` reads so.
async fn replicates(redis: &Redis, field: &str) {
    eventually(field, async || {
        let info = redis.command(&["INFO", "replication"]).await;
        format!("{info:?}").contains(field)
    })
    .await;
}

/// Makes `redis` a replica of `master`, with all that it has; connections stay.
async fn demote(redis: &Redis, master: &Redis) {
    let port = master.address().port().to_string();
    redis.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    replicates(redis, "master_link_status:up").await;
}

#[tokio::test]
async fn records_and_events_wait_while_their_server_is_a_replica() {
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let (redis, master) = (Redis::start().await, Redis::start_with(&at_once).await);
    let server = launch(&redis).start().await;
    let mut events = ServerEvents::below(EVENTS, &redis).await;
    let mut ann = Client::connect(server.address()).await;
    ann.subscribe("a").await;
    events.expect("subscribe", "a").await;
    demote(&redis, &master).await;
    server.logged("server events wait for redis").await;
    ann.subscribe("b").await;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    // The replica has forgotten the first, and was never told of the second.
    let both = ["a", "b"].map(|channel| ("subscribe".to_owned(), channel.to_owned()));
    assert_eq!(events.sorted(2).await, both);
    becomes(&mut ann, 1).await;
}

#[tokio::test]
async fn the_relay_leaves_a_master_that_is_demoted() {
    let (redis, master) = (Redis::start().await, Redis::start().await);
    let server = Launch::new(&redis).start().await;
    server.logged("requests are carried to other nodes").await;
    let port = master.address().port().to_string();
    redis.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    let line = server.logged("requests cannot be carried").await;
    assert!(line.contains("is a replica"), "{line}");
}

#[tokio::test]
async fn a_refused_identity_is_told_once_and_delivery_goes_on() {
    let redis = Redis::start().await;
    let rules = ["on", ">p", "~*", "&*", "+@pubsub", "+ping"];
    let user = [&["ACL", "SETUSER", "narrow"], &rules[..]].concat();
    redis.command(&user).await;
    let url = format!("redis://narrow:p@{}", redis.address());
    let server = Launch::new(&redis).flag("--redis-url", &url).start().await;
    let line = server.logged("+info").await;
    assert!(line.contains("unverified"), "{line}");
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let lines = |text: &str| {
        let log = server.log();
        log.iter().filter(|line| line.contains(text)).count()
    };
    // The links are made anew, and refused again.
    for made in 1..=3 {
        redis.command(&["CLIENT", "KILL", "USER", "narrow"]).await;
        eventually("another link", async || {
            lines("requests are carried to other nodes") > made
        })
        .await;
    }
    eventually("further refusals", async || {
        let refused = redis.command(&["INFO", "commandstats"]).await;
        let refused = format!("{refused:?}");
        let (_, of_info) = refused.split_once("cmdstat_info:").expect("INFO was asked");
        let (_, count) = of_info.split_once("rejected_calls=").expect("a count");
        let digits = count.split(',').next().unwrap_or_default();
        digits.parse::<u64>().expect("a number") > 5
    })
    .await;
    eventually("a subscription", async || {
        redis.publish("a", "1").await == 1
    })
    .await;
    assert_eq!(client.message("a").await, "1");
    assert_eq!(lines(r#""link":"relay""#), 1);
}

/// A server that publishes what is posted to the second address.
async fn publisher(redis: &Redis) -> (Server, SocketAddr) {
    let admin = free_address();
    let launch = Launch::new(redis)
        .flag("--admin-listen", &admin.to_string())
        .env("WOMACK_PUBLISH_KEY", "s3cret");
    let server = launch.start_unready().await;
    eventually("readiness", async || {
        http::get(admin, "/readyz").await.status == 200
    })
    .await;
    (server, admin)
}

async fn publish(admin: SocketAddr) -> u16 {
    let headers = [
        ("authorization", "Bearer s3cret"),
        ("content-type", "application/json"),
    ];
    let body = r#"{"channels":"a","data":1}"#;
    let answer = http::request(admin, Method::POST, "/publish", &headers, body).await;
    answer.status
}

#[tokio::test]
async fn a_demoted_master_takes_no_publication_until_it_is_a_master_again() {
    let (redis, master) = (Redis::start().await, Redis::start().await);
    let (_server, admin) = publisher(&redis).await;
    assert_eq!(publish(admin).await, 200);
    // Its first replica gives a master another replication id, and changes nothing.
    let third = Redis::start().await;
    let port = redis.address().port().to_string();
    third.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    replicates(&redis, "connected_slaves:1").await;
    assert_eq!(publish(admin).await, 200);
    let port = master.address().port().to_string();
    redis.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    eventually("a refused publication", async || {
        publish(admin).await == 503
    })
    .await;
    for _ in 0..20 {
        assert_eq!(publish(admin).await, 503);
    }
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    eventually("a publication", async || publish(admin).await == 200).await;
}
