//! Clients that do not wait for answers, while Redis is some way off.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use womack_test_support::events::ServerEvents;
use womack_test_support::faulty_link::FaultyLink;
use womack_test_support::{Broker, Client, Launch, Redis, eventually};

const LATENCY: Duration = Duration::from_millis(50);

async fn passed(time: Duration) {
    let start = Instant::now();
    eventually("time to pass", async || start.elapsed() >= time).await;
}

async fn far_away(redis: &Redis) -> FaultyLink {
    let link = FaultyLink::to(redis.address()).await;
    link.set_latency(LATENCY);
    link
}

#[tokio::test]
async fn ok_is_not_the_answer_to_an_older_request() {
    let redis = Redis::start().await;
    let link = far_away(&redis).await;
    let launch = Launch::new(&link).flag("--unsubscribe-grace-seconds", "0");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    for round in 0..30 {
        let channel = format!("c{round}");
        client.emit("subscribe", &json!(channel)).await;
        passed(LATENCY / 2).await;
        client.emit("unsubscribe", &json!(channel)).await;
        // Until the first request is confirmed at Redis, and its confirmation is on its way.
        passed(LATENCY).await;
        client.subscribe(&channel).await;
        assert_eq!(redis.publish(&channel, "1").await, 1, "{channel}");
        assert_eq!(client.message(&channel).await, "1");
    }
}

#[tokio::test]
async fn leaving_a_channel_answers_the_requests_that_wait_for_it() {
    let redis = Redis::start().await;
    let link = FaultyLink::to(redis.address()).await;
    let server = Launch::new(&link)
        .flag("--subscribe-timeout-seconds", "300")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    link.stall();
    let first = client
        .ask("subscribe", &json!({ "channels": ["a", "b"] }))
        .await;
    let second = client.ask("unsubscribe", &json!("a")).await;
    let third = client.ask("subscribe", &json!("a")).await;
    assert_eq!(client.answer(first).await["error"], "unavailable");
    assert_eq!(client.answer(second).await["ok"], true);
    link.restore();
    assert_eq!(client.answer(third).await["ok"], true);
    redis.publish("b", "1").await;
    redis.publish("a", "2").await;
    assert_eq!(client.message("a").await, "2");
}

#[tokio::test]
async fn an_application_that_answers_a_server_event_reaches_the_client() {
    const CHANNELS: usize = 1000;
    let redis = Redis::start().await;
    let link = far_away(&redis).await;
    let server = Launch::new(&link).flag("--events-key", "app").start().await;
    let mut events = ServerEvents::below("app", &redis).await;
    let mut client = Client::connect(server.address()).await;
    client.ignore_pings();
    let names: Vec<_> = (0..CHANNELS).map(|number| format!("c{number}")).collect();
    let visitor = async {
        for some in names.chunks(5) {
            for name in some {
                client.emit("subscribe", &json!(name)).await;
            }
            passed(Duration::from_millis(5)).await;
        }
        client
    };
    let application = async {
        for _ in 0..CHANNELS {
            let event = events.next().await;
            assert_eq!(event.kind, "subscribe");
            let channel = event.data["channel"].as_str().expect("a name").to_owned();
            assert_eq!(redis.publish(&channel, "\"state\"").await, 1, "{channel}");
        }
    };
    let page = async {
        let mut client = visitor.await;
        let mut missing: HashSet<_> = names.iter().cloned().collect();
        while !missing.is_empty() {
            let packet = client.packet().await;
            let event: Value =
                serde_json::from_str(packet.strip_prefix("42").expect("an event")).expect("JSON");
            assert_eq!(event[1], "state");
            assert!(
                missing.remove(event[0].as_str().expect("a name")),
                "{packet}"
            );
        }
    };
    tokio::join!(application, page);
}

#[tokio::test]
async fn a_client_that_left_before_its_channel_was_live_is_not_announced() {
    let redis = Redis::start().await;
    let link = far_away(&redis).await;
    let server = Launch::new(&link).flag("--events-key", "app").start().await;
    let mut events = ServerEvents::below("app", &redis).await;
    let mut client = Client::connect(server.address()).await;
    client.emit("subscribe", &json!("left")).await;
    client.emit("unsubscribe", &json!("left")).await;
    client.subscribe("stayed").await;
    events.expect("subscribe", "stayed").await;
    client.unsubscribe("stayed").await;
    events.expect("unsubscribe", "stayed").await;
    let gone = Client::connect(server.address()).await;
    gone.close().await;
    eventually("the channels to be given up", async || {
        redis.subscribers("stayed").await == 0 && redis.subscribers("left").await == 0
    })
    .await;
}
