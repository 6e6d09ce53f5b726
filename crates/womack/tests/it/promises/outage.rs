//! Redis, or the way to it, is gone for a while.

use std::time::{Duration, Instant};

use serde_json::json;
use womack_test_support::faulty_link::FaultyLink;
use womack_test_support::proxy::Cable;
use womack_test_support::ticker::Ticker;
use womack_test_support::witness::Witness;
use womack_test_support::{Broker, Client, Launch, Lines, Redis, Signal, eventually, metrics};

/// The channels of the default key that are subscribed at Redis.
async fn subscribed(redis: &Redis) -> Vec<String> {
    let names = redis
        .command(&["PUBSUB", "CHANNELS", "womack:ns:default:*"])
        .await;
    redis::from_redis_value(names).expect("names")
}

async fn passed(time: Duration) {
    let start = Instant::now();
    eventually("time to pass", async || start.elapsed() >= time).await;
}

#[tokio::test]
async fn a_second_request_is_not_taken_back_with_the_first() {
    let mut redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--subscribe-timeout-seconds", "8");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    redis.stop().await;
    server.logged("redis cannot be reached").await;
    let first = client.ask("subscribe", &json!("a")).await;
    passed(Duration::from_secs(4)).await;
    let second = client.ask("subscribe", &json!("a")).await;
    assert_eq!(client.answer(first).await["error"], "unavailable");
    redis.resume().await;
    assert_eq!(client.answer(second).await["ok"], true);
    assert_eq!(redis.publish("a", "1").await, 1);
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn channels_that_were_left_during_an_outage_are_not_subscribed_after_it() {
    let mut redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--unsubscribe-grace-seconds", "0");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("stays").await;
    // Requested of a Redis that does not answer any more, and left before it is known to be gone.
    redis.halt().await;
    for number in 0..50 {
        client
            .emit("subscribe", &json!(format!("stalled{number}")))
            .await;
    }
    for number in 0..50 {
        client.unsubscribe(&format!("stalled{number}")).await;
    }
    redis.stop().await;
    server.logged("redis cannot be reached").await;
    for number in 0..50 {
        client
            .emit("subscribe", &json!(format!("away{number}")))
            .await;
    }
    for number in 0..50 {
        client.unsubscribe(&format!("away{number}")).await;
    }
    redis.resume().await;
    client.subscribe("later").await;
    let wanted = ["womack:ns:default:later", "womack:ns:default:stays"];
    eventually("what is wanted, and no more", async || {
        let mut names = subscribed(&redis).await;
        names.sort();
        names == wanted
    })
    .await;
}

#[tokio::test]
async fn ok_for_several_channels_is_true_after_a_loss_between_their_confirmations() {
    let redis = Redis::start().await;
    let link = FaultyLink::to(redis.address()).await;
    let server = Launch::new(&link)
        .flag("--max-channels-per-client", "5000")
        .start()
        .await;
    let mut many = Client::connect(server.address()).await;
    many.ignore_pings();
    // So many that some are confirmed later than others.
    let names: Vec<_> = (0..4000).map(|number| format!("m{number}")).collect();
    let answer = many.call("subscribe", &json!({ "channels": names })).await;
    assert_eq!(answer["ok"], true);
    link.set_latency(Duration::from_millis(20));
    let mut client = Client::connect(server.address()).await;
    for round in 0..8 {
        let channels: Vec<_> = (0..10).map(|number| format!("c{round}:{number}")).collect();
        client
            .emit("subscribe", &json!({ "channels": channels[..5] }))
            .await;
        passed(Duration::from_millis(10 * (round % 5))).await;
        let ack = client
            .ask("subscribe", &json!({ "channels": channels }))
            .await;
        link.cut();
        assert_eq!(client.answer(ack).await["ok"], true);
        for channel in &channels {
            assert_eq!(redis.publish(channel, "1").await, 1, "{channel}");
        }
        for channel in &channels {
            assert_eq!(client.message(channel).await, "1");
        }
    }
}

#[tokio::test]
async fn every_client_is_told_of_a_gap_before_what_follows_it() {
    /// More than are told at one go, and some that come after them.
    const OTHERS: usize = 1200;
    const CLIENTS: usize = 20;
    let redis = Redis::start().await;
    // Clients read nothing until all is over, and the system keeps little for them.
    let launch = Launch::new(&redis)
        .arg("--gap-notices")
        .flag("--max-client-queue-bytes", "1000000000");
    let server = launch.flag("--shards", "1").start().await;
    let (mut others, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..OTHERS {
        let mut other = Lines::connect(server.address()).await;
        other.subscribe("other").await;
        others.push(other);
    }
    for _ in 0..CLIENTS {
        let mut client = Lines::connect(server.address()).await;
        client.subscribe("a").await;
        clients.push(client);
    }
    let published = async {
        let mut number = 0;
        loop {
            // As quickly as they are taken, so that some come right after the channel is back.
            let numbers = (number..number + 20).map(|number: u64| number.to_string());
            redis.publish_all("a", numbers).await;
            number += 20;
        }
    };
    let losses = async {
        for round in 1..=5 {
            redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            let name = "womack_redis_gaps_total";
            metrics::reaches(server.address(), name, "", f64::from(round)).await;
            server.ready().await;
        }
    };
    tokio::select! {
        () = published => {}
        () = losses => {}
    }
    redis.publish("a", "\"last\"").await;
    for client in &mut clients {
        let (mut last, mut gaps, mut is_told) = (None, 0, false);
        loop {
            let line = client.json().await;
            if line.get("gap").is_some() {
                gaps += 1;
                is_told = true;
                continue;
            }
            let Some(number) = line["message"].as_u64() else {
                break;
            };
            let follows = last.is_none_or(|last| number == last + 1);
            assert!(
                follows || is_told && Some(number) > last,
                "{number} after {last:?}"
            );
            (last, is_told) = (Some(number), false);
        }
        assert_eq!(gaps, 5);
    }
}

#[tokio::test]
async fn a_gap_is_told_in_parts_when_too_much_waits_for_it() {
    let redis = Redis::start().await;
    let link = FaultyLink::to(redis.address()).await;
    let server = Launch::new(&link)
        .arg("--gap-notices")
        .flag("--gap-hold-bytes", "1")
        .flag("--max-channels-per-client", "5000")
        .start()
        .await;
    let witness = Client::connect(server.address()).await;
    let witness = Witness::of(witness, "a").await;
    let mut many = Client::connect(server.address()).await;
    many.ignore_pings();
    // More than two commands of a thousand channels, so that some are confirmed later than others.
    let names: Vec<_> = (0..4000).map(|number| format!("c{number}")).collect();
    let answer = many.call("subscribe", &json!({ "channels": names })).await;
    assert_eq!(answer["ok"], true);
    link.set_latency(Duration::from_millis(100));
    let ticker = Ticker::start(&[redis.address()], "PUBLISH", "a");
    // Nobody knows which channels are confirmed first; some of these are.
    let published = async {
        loop {
            for name in names.iter().step_by(100) {
                redis.publish(name, "1").await;
            }
        }
    };
    let told_in_parts = async {
        link.cut();
        metrics::limit(server.address(), "gap_hold_bytes", 1.0).await;
        server.ready().await;
    };
    tokio::select! {
        () = published => {}
        () = told_in_parts => {}
    }
    let ticks = ticker.finish().await;
    let last = ticks.last().expect("something was published");
    eventually("the last number", async || witness.has(last)).await;
    assert_eq!(witness.gaps(&ticks), 1);
}

#[tokio::test]
async fn a_process_that_was_stopped_and_goes_on_loses_nothing() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .arg("--gap-notices")
        .flag("--ping-interval", "1")
        .flag("--ping-timeout", "2")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    client.ignore_pings();
    client.find(|packet| packet == "2").await;
    server.signal(Signal::Halt).await;
    // The answer to the ping waits in a socket, as messages do in another.
    client.send("3").await;
    for number in 0..100 {
        redis.publish("a", &number.to_string()).await;
    }
    passed(Duration::from_secs(7)).await;
    server.signal(Signal::GoOn).await;
    for number in 0..100 {
        let mut packet = client.packet().await;
        while packet == "2" {
            client.send("3").await;
            packet = client.packet().await;
        }
        assert_eq!(packet, format!("42[\"a\",{number}]"));
    }
    let read = metrics::Metrics::of(server.address()).await;
    assert_eq!(read.sum("womack_redis_gaps_total", ""), 0.0);
    assert_eq!(read.sum("womack_connections_closed_total", ""), 0.0);
}

#[tokio::test]
async fn a_client_is_told_of_the_losses_after_it_came_and_of_no_other() {
    let redis = Redis::start().await;
    let cable = Cable::to(redis.address()).await;
    let server = Launch::new(&cable).arg("--gap-notices").start().await;
    let mut early = Client::connect(server.address()).await;
    early.subscribe("a").await;
    cable.cut();
    server.logged("redis is gone, clients stay connected").await;
    let mut late = Client::connect(server.address()).await;
    let ack = late.ask("subscribe", &json!("a")).await;
    cable.mend();
    assert_eq!(late.answer(ack).await["ok"], true);
    early.find(|packet| packet.contains("womack:gap")).await;
    redis.publish("a", "1").await;
    assert_eq!(late.message("a").await, "1");
    assert_eq!(early.message("a").await, "1");
    cable.cut();
    server.unready().await;
    cable.mend();
    for client in [&mut early, &mut late] {
        let packet = client.packet().await;
        assert!(packet.contains("womack:gap"), "{packet}");
    }
}
