//! When Redis was away, clients are told of which of their channels they may have missed something.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use womack_test_support::proxy::Cable;
use womack_test_support::ticker::millis;
use womack_test_support::{
    Client, EventStream, Launch, Lines, Polling, Redis, Server, eventually, metrics, within,
};

/// The channels of a gap, which covers the time from `from` to `to`.
#[track_caller]
fn channels(gap: &Value, from: u64, to: u64) -> Value {
    let time = |name: &str| gap[name].as_u64().expect("Unix milliseconds");
    assert!(
        time("from") <= from && to <= time("to"),
        "{gap} is not {from} to {to}"
    );
    let mut channels = gap["channels"].clone();
    channels
        .as_array_mut()
        .expect("names")
        .sort_by_key(Value::to_string);
    channels
}

/// What a packet of Socket.IO says of a gap in the namespace `path`.
#[track_caller]
fn event(packet: &str, path: &str) -> Value {
    let rest = packet.strip_prefix(&format!("42{path}"));
    let event: Value = serde_json::from_str(rest.expect("an event")).expect("JSON");
    assert_eq!(event[0], "womack:gap", "{packet}");
    event[1].clone()
}

async fn gaps(server: &Server) -> f64 {
    let metrics = metrics::Metrics::of(server.address()).await;
    metrics.sum("womack_redis_gaps_total", "")
}

#[tokio::test]
async fn every_kind_of_client_is_told_of_its_own_channels_once() {
    let mut redis = Redis::start().await;
    let launch = Launch::new(&redis).arg("--gap-notices");
    let server = launch.flag("--namespace", "/n").start().await;
    let address = server.address();
    let mut two = Client::connect(address).await;
    two.subscribe("a").await;
    two.subscribe("b").await;
    let mut named = Client::connect_to(address, "/n").await;
    named.subscribe("a").await;
    let mut polling = Polling::connect(address).await;
    polling.subscribe("b").await;
    let mut lines = Lines::connect(address).await;
    lines.subscribe("c").await;
    let mut stream = EventStream::open(address, "channel=d").await;
    let mut none = Client::connect(address).await;

    let from = millis();
    redis.stop().await;
    server.logged("redis is gone, clients stay connected").await;
    // A client that comes now has missed nothing when its answer comes.
    let mut late = Client::connect(address).await;
    let ack = late.ask("subscribe", &json!("a")).await;
    let to = millis();
    redis.resume().await;
    server.ready().await;

    let of = |gap: &Value| channels(gap, from, to);
    assert_eq!(of(&event(&two.packet().await, "")), json!(["a", "b"]));
    assert_eq!(of(&event(&named.packet().await, "/n,")), json!(["a"]));
    assert_eq!(of(&event(&polling.packet().await, "")), json!(["b"]));
    assert_eq!(of(&lines.json().await["gap"]), json!(["c"]));
    let told = stream.event().await;
    assert_eq!(
        (told.name.as_str(), of(&told.json())),
        ("womack:gap", json!(["d"]))
    );
    assert_eq!(late.answer(ack).await["ok"], true);
    none.subscribe("a").await;

    // And nobody is told anything else.
    for channel in ["a", "b", "c", "d"] {
        redis.publish(channel, "1").await;
    }
    for client in [&mut two, &mut named, &mut late, &mut none] {
        assert_eq!(client.message("a").await, "1");
    }
    assert_eq!(two.message("b").await, "1");
    assert_eq!(polling.message("b").await, "1");
    assert_eq!(lines.message("c").await, "1");
    assert_eq!(stream.message("d").await, "1");
    let read = metrics::Metrics::of(address).await;
    assert_eq!(read.sum("womack_redis_gaps_total", ""), 1.0);
    assert_eq!(read.sum("womack_gap_notices_total", ""), 5.0);
    assert_eq!(read.sum("womack_connections_closed_total", ""), 0.0);
    let told = server.log();
    let of_gap = |line: &&String| line.contains("redis is gone");
    assert_eq!(told.iter().filter(of_gap).count(), 1);
}

#[tokio::test]
async fn clients_without_gap_notices_get_none() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    metrics::reaches(server.address(), "womack_redis_gaps_total", "", 1.0).await;
    server.ready().await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn a_link_that_redis_cuts_is_a_gap_each_time() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis).arg("--gap-notices").start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    for round in 1..=3 {
        let from = millis();
        redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        let gap = event(&client.packet().await, "");
        assert_eq!(channels(&gap, from, from), json!(["a"]));
        redis.publish("a", "1").await;
        assert_eq!(client.message("a").await, "1");
        assert_eq!(gaps(&server).await, f64::from(round));
    }
}

#[tokio::test]
async fn delivery_resumes_when_the_network_does() {
    let redis = Redis::start().await;
    let cable = Cable::to(womack_test_support::Broker::address(&redis)).await;
    let server = Launch::new(&cable).arg("--gap-notices").start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    cable.cut();
    server.unready().await;
    // Long enough for the pauses between two tries to have grown.
    keep_failing(&server).await;
    let mended = Instant::now();
    cable.mend();
    eventually("SUBSCRIBE", async || redis.subscribers("a").await == 1).await;
    redis.publish("a", "1").await;
    event(&client.packet().await, "");
    assert_eq!(client.message("a").await, "1");
    println!("delivery resumed after {:?}", mended.elapsed());
    assert_eq!(gaps(&server).await, 1.0);
}

#[tokio::test]
async fn messages_over_the_backlog_limit_wait_at_redis() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--redis-backlog-bytes", "65536");
    let launch = launch.flag("--max-client-queue-bytes", "100000000");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    client.ignore_pings();
    client.subscribe("a").await;
    let envelope = |number| format!("[{number},\"{}\"]", "x".repeat(2000));
    redis.publish_all("a", (0..10_000).map(envelope)).await;
    for number in 0..10_000 {
        assert_eq!(client.message("a").await, envelope(number));
    }
    let read = metrics::Metrics::of(server.address()).await;
    assert_eq!(read.sum("womack_redis_gaps_total", ""), 0.0);
    assert!(read.has("womack_redis_backlog_bytes"));
    metrics::limit(server.address(), "redis_backlog_bytes", 1.0).await;
    assert_eq!(read.sum("womack_redis_backlog_bytes", ""), 0.0);
}

/// Waits until connecting has failed for some time.
async fn keep_failing(server: &Server) {
    let start = Instant::now();
    within("two seconds", async {
        while start.elapsed() < Duration::from_secs(2) {
            server.unready().await;
        }
    })
    .await;
}
