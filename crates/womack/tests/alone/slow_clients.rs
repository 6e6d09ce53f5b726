//! What becomes of clients that read too slowly, by what the operator chose; that nobody else
//! notices, and that the memory has its bounds.

use serde_json::json;
use tokio::task::JoinSet;
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Polling, Redis, Server, eventually, http, metrics};

use crate::{memory::peak, turn};

const CLOSED: &str = "womack_connections_closed_total";
const DROPPED: &str = "womack_client_messages_dropped_total";
const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

fn envelope(number: usize, bytes: usize) -> String {
    json!({ "data": number, "filling": "x".repeat(bytes) }).to_string()
}

/// A WebSocket in `channels` that is read by whoever holds it, or not.
async fn socket(server: &Server, channels: &[String]) -> Raw {
    let mut socket = Raw::socket(server.address()).await;
    let subscribe = json!(["subscribe", { "channels": channels }]);
    socket.send(&raw::text(&format!("420{subscribe}"))).await;
    let ack = socket.frame().await.expect("an acknowledgement");
    assert!(ack.payload.starts_with(b"430["), "{ack:?}");
    socket
}

#[tokio::test]
async fn five_that_stall_are_closed_and_two_hundred_lose_nothing() {
    let _alone = turn().await;
    const CHANNELS: usize = 10;
    const MESSAGES: usize = 1000;
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--memory-budget", "128M")
        .start()
        .await;
    let names: Vec<_> = (0..CHANNELS).map(|at| format!("c{at}")).collect();
    let mut stalled = Vec::new();
    for _ in 0..5 {
        stalled.push(socket(&server, &names).await);
    }
    let mut healthy = JoinSet::new();
    for at in 0..200 {
        let channel = at % CHANNELS;
        let mut socket = socket(&server, &names[channel..=channel]).await;
        healthy.spawn(async move {
            for number in (channel..MESSAGES).step_by(CHANNELS) {
                let frame = socket.frame().await.expect("a message");
                let begin = format!(r#"42["c{channel}",{{"data":{number},"#);
                assert!(frame.payload.starts_with(begin.as_bytes()), "{number}");
            }
        });
    }
    for number in 0..MESSAGES {
        let envelope = envelope(number, 50_000);
        redis.publish(&names[number % CHANNELS], &envelope).await;
    }
    while let Some(read) = healthy.join_next().await {
        read.expect("nothing is lost");
    }
    let reason = r#"reason="slow_consumer""#;
    metrics::reaches(server.address(), CLOSED, reason, 5.0).await;
    metrics::limit(server.address(), "max_client_queue_bytes", 5.0).await;
    for mut socket in stalled {
        // Whole messages up to the end, whatever was left out of it.
        assert!(socket.frames().await.len() < MESSAGES);
    }
    let peak = peak(&server);
    assert!(peak < 128 << 20, "{peak}");
}

#[tokio::test]
async fn memory_that_fills_up_stops_new_clients_and_then_ends_the_largest_queues() {
    let _alone = turn().await;
    const BUDGET: usize = 128 << 20;
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--memory-budget", "128M")
        .flag("--max-client-queue-bytes", "1000000000")
        .start()
        .await;
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("seen").await;
    let mut clients = Vec::new();
    for at in 0..8 {
        let mut client = Polling::connect(server.address()).await;
        client.subscribe(&format!("c{at}")).await;
        clients.push(client);
    }
    let memory = async || {
        metrics::Metrics::of(server.address())
            .await
            .sum("womack_memory_bytes", "")
    };
    let mut number = 0;
    let mut publish = async || {
        // The first client has most, and shares none of it.
        for channel in [0, number % 8] {
            let envelope = envelope(number, 500_000);
            redis.publish(&format!("c{channel}"), &envelope).await;
        }
        redis.publish("seen", &number.to_string()).await;
        assert_eq!(witness.message("seen").await, number.to_string());
        number += 1;
    };
    while memory().await < (BUDGET / 4 * 3) as f64 {
        publish().await;
    }
    let refused = http::get(server.address(), HANDSHAKE).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "5");
    let reason = r#"reason="memory_budget""#;
    loop {
        publish().await;
        let metrics = metrics::Metrics::of(server.address()).await;
        if metrics.sum(CLOSED, reason) > 0.5 {
            break;
        }
        assert!(metrics.sum("womack_memory_bytes", "") < BUDGET as f64);
    }
    assert_eq!(
        clients[0].poll().await.status,
        400,
        "the largest goes first"
    );
    // Who came and was refused, and who was closed.
    metrics::limit(server.address(), "memory_budget", 2.0).await;
    eventually("clients to be taken again", async || {
        http::get(server.address(), HANDSHAKE).await.status == 200
    })
    .await;
    assert!(
        clients[1].poll().await.text().contains("42["),
        "others stay"
    );
    let peak = peak(&server);
    assert!(peak < BUDGET, "{peak}");
}

#[tokio::test]
async fn the_oldest_make_room_and_what_has_begun_is_written_to_its_end() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--slow-client", "drop-oldest")
        .flag("--max-message-bytes", "100000")
        .flag("--max-client-queue-bytes", "300000")
        .start()
        .await;
    let mut slow = socket(&server, &["a".to_owned()]).await;
    let dropped = r#"reason="oldest""#;
    let mut last = 0;
    loop {
        redis.publish("a", &envelope(last, 60_000)).await;
        let metrics = metrics::Metrics::of(server.address()).await;
        if metrics.sum(DROPPED, dropped) > 4.5 {
            break;
        }
        last += 1;
    }
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let frame = slow.frame().await.expect("the client is not closed");
        let text = String::from_utf8(frame.payload.to_vec()).expect("whole text");
        let json = text
            .strip_prefix(r#"42["a","#)
            .and_then(|rest| rest.strip_suffix(']'));
        let envelope: serde_json::Value =
            serde_json::from_str(json.expect("a message")).expect("whole JSON");
        numbers.push(envelope["data"].as_u64().expect("a number") as usize);
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
    let metrics = metrics::Metrics::of(server.address()).await;
    let gone = metrics.sum(DROPPED, dropped) as usize;
    assert_eq!(numbers.len() + gone, last + 1, "{numbers:?}");
    redis.publish("a", "\"after\"").await;
    let frame = slow.frame().await.expect("it goes on");
    assert_eq!(&frame.payload[..], br#"42["a","after"]"#);
}

#[tokio::test]
async fn the_latest_of_each_key_is_what_a_client_gets() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--namespace", "/kept")
        .flag("--slow-client", "latest,/kept=close")
        .start()
        .await;
    let mut client = Polling::connect(server.address()).await;
    client.subscribe("a").await;
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("a").await;
    let messages = [
        r#"{"data":1,"key":"x"}"#,
        r#"{"data":2,"key":"y"}"#,
        r#"{"data":3}"#,
        r#"{"data":4,"ttl":0}"#,
        r#"{"data":5,"key":"x"}"#,
        r#"{"data":6,"key":"z","ttl":3600}"#,
    ];
    for message in messages {
        redis.publish("a", message).await;
        assert_eq!(witness.message("a").await, message, "who keeps up gets all");
    }
    for number in [4, 1, 2, 5] {
        assert_eq!(client.message("a").await, messages[number as usize]);
    }
    metrics::reaches(server.address(), DROPPED, r#"reason="replaced""#, 1.0).await;
    metrics::reaches(server.address(), DROPPED, r#"reason="expired""#, 1.0).await;
}

#[tokio::test]
async fn messages_and_seconds_are_counted_too_whatever_the_transport() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    for (flag, value, limit) in [
        (
            "--max-client-queue-messages",
            "10",
            "max_client_queue_messages",
        ),
        (
            "--max-client-queue-seconds",
            "0.2",
            "max_client_queue_seconds",
        ),
    ] {
        let server = Launch::new(&redis)
            .flag(flag, value)
            .flag("--max-client-queue-bytes", "1000000000")
            .start()
            .await;
        let mut polling = Polling::connect(server.address()).await;
        polling.subscribe("a").await;
        let mut unread = socket(&server, &["a".to_owned()]).await;
        let mut stream = Raw::connect(server.address()).await;
        stream
            .send(b"GET /events?channel=a HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert!(stream.head().await.starts_with("HTTP/1.1 200"));
        let slow = r#"reason="slow_consumer""#;
        eventually("all three to be closed", async || {
            redis
                .publish_all("a", (0..5).map(|n| envelope(n, 500_000)))
                .await;
            let metrics = metrics::Metrics::of(server.address()).await;
            metrics.sum(CLOSED, slow) > 2.5
        })
        .await;
        metrics::limit(server.address(), limit, 3.0).await;
        assert_eq!(polling.poll().await.status, 400);
        unread.end().await;
        stream.end().await;
    }
}

#[tokio::test]
async fn check_says_what_it_would_cost_and_ends_with_2_where_that_cannot_be() {
    let _alone = turn().await;
    let good = Launch::bare()
        .arg("check")
        .flag("--memory-budget", "64M")
        .flag("--max-connections", "1000")
        .flag("--shards", "1");
    let (code, lines) = good.clone().output().await;
    assert_eq!(code, Some(0), "{lines:?}");
    for part in [
        "max_client_queue_bytes: ",
        "in the worst case",
        "64.0 MiB  the budget",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(part)),
            "{part}: {lines:?}"
        );
    }
    let (code, _) = good.flag("--max-connections", "1000000").output().await;
    assert_eq!(code, Some(2));
}
