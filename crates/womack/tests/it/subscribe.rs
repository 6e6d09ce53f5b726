//! `subscribe` and `unsubscribe`: every form of their argument, and what acknowledgements promise.

use serde_json::{Value, json};
use womack_test_support::clients::Drivers;
use womack_test_support::{Client, Launch, Polling, Redis, Server};

fn ok(channels: &[&str]) -> Value {
    json!({ "ok": true, "channels": channels })
}

#[tokio::test]
async fn ok_means_live() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    for n in 0..200 {
        let channel = format!("fresh-{n}");
        client.subscribe(&channel).await;
        assert_eq!(redis.publish(&channel, "1").await, 1, "{channel}");
        assert_eq!(client.message(&channel).await, "1");
    }
}

#[tokio::test]
async fn ok_means_live_when_many_ask_at_once() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(server.address()).await);
    }
    for round in 0..10 {
        let channel = format!("round-{round}");
        let mut acks = Vec::new();
        for client in &mut clients {
            acks.push(
                client
                    .ask("subscribe", &json!({ "channel": channel }))
                    .await,
            );
        }
        for (client, ack) in clients.iter_mut().zip(acks) {
            assert_eq!(client.answer(ack).await, ok(&[&channel]));
            redis
                .publish(&channel, &format!("\"to {}\"", client.id()))
                .await;
            let wanted = format!("\"to {}\"", client.id());
            while client.message(&channel).await != wanted {}
        }
        // Everybody has seen a part of the round; the last word is the same for all.
        redis.publish(&channel, "\"end\"").await;
        for client in &mut clients {
            while client.message(&channel).await != "\"end\"" {}
        }
    }
}

#[tokio::test]
async fn ok_means_live_over_polling() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Polling::connect(server.address()).await;
    for n in 0..20 {
        let channel = format!("fresh-{n}");
        client.subscribe(&channel).await;
        redis.publish(&channel, "1").await;
        assert_eq!(client.message(&channel).await, "1");
    }
}

#[tokio::test]
async fn a_channel_left_and_joined_again_is_live_again() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--unsubscribe-grace-seconds", "0");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    for n in 0..100 {
        client.subscribe("a").await;
        assert_eq!(redis.publish("a", &n.to_string()).await, 1);
        assert_eq!(client.message("a").await, n.to_string());
        client.unsubscribe("a").await;
    }
}

#[tokio::test]
async fn every_form_of_the_argument_subscribes() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let forms = [
        (json!({ "channel": "a" }), vec!["a"]),
        (json!({ "channels": ["a", "b"] }), vec!["a", "b"]),
        (json!({ "channels": "a" }), vec!["a"]),
        (json!({ "channel": ["a", "b"] }), vec!["a", "b"]),
        (json!({ "channel": "a", "other": { "x": 1 } }), vec!["a"]),
    ];
    for (argument, channels) in forms {
        let mut client = Client::connect(server.address()).await;
        assert_eq!(client.call("subscribe", &argument).await, ok(&channels));
        for channel in &channels {
            redis.publish(channel, "1").await;
            assert_eq!(client.message(channel).await, "1", "{argument}");
        }
        assert_eq!(client.call("unsubscribe", &argument).await, ok(&channels));
        client.subscribe("marker").await;
        for channel in channels.iter().chain(&["marker"]) {
            redis.publish(channel, "2").await;
        }
        assert_eq!(client.message("marker").await, "2", "{argument}");
    }
}

#[tokio::test]
async fn every_library_subscribes_and_unsubscribes() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    for client in &mut clients {
        let answer = client
            .call("subscribe", json!({ "channels": ["a", "b"] }))
            .await;
        assert_eq!(answer, ok(&["a", "b"]), "{:?}", client.flavour());
        client.unsubscribe("a").await;
    }
    redis.publish("a", r#"{"data":"gone"}"#).await;
    redis.publish("b", r#"{"data":"here"}"#).await;
    for client in &mut clients {
        client.message("b").await.is("b", r#"{"data":"here"}"#);
    }
}

#[tokio::test]
async fn no_library_needs_an_acknowledgement() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    for client in &mut clients {
        client
            .emit("subscribe", json!({ "channel": "quiet" }))
            .await;
        // Packets of one client are handled in their order.
        client.subscribe("a").await;
    }
    redis.publish("quiet", "1").await;
    for client in &mut clients {
        client.message("quiet").await.is("quiet", "1");
    }
}

#[tokio::test]
async fn subscribing_twice_is_one_subscription() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    client.subscribe("a").await;
    client
        .call("subscribe", &json!({ "channels": ["a", "a", "a"] }))
        .await;
    redis.publish("a", "1").await;
    redis.publish("a", "2").await;
    assert_eq!(client.message("a").await, "1");
    assert_eq!(client.message("a").await, "2");
    client.unsubscribe("a").await;
    client.subscribe("marker").await;
    redis.publish("a", "3").await;
    redis.publish("marker", "4").await;
    assert_eq!(client.message("marker").await, "4");
}

#[tokio::test]
async fn unsubscribing_what_was_never_subscribed_is_ok() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.unsubscribe("never").await;
}

#[tokio::test]
async fn redis_hears_of_a_channel_only_while_somebody_wants_it() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--unsubscribe-grace-seconds", "0");
    let server = launch.start().await;
    let mut first = Client::connect(server.address()).await;
    let mut second = Client::connect(server.address()).await;
    assert_eq!(redis.subscribers("a").await, 0);
    first.subscribe("a").await;
    second.subscribe("a").await;
    assert_eq!(redis.subscribers("a").await, 1);
    first.unsubscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(second.message("a").await, "1");
    second.close().await;
    womack_test_support::eventually("UNSUBSCRIBE", async || redis.subscribers("a").await == 0)
        .await;
}

#[tokio::test]
async fn invalid_arguments_are_bad_requests() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    let arguments = [
        json!(null),
        json!(true),
        json!(7),
        json!({}),
        json!({ "channel": null }),
        json!({ "channel": 7 }),
        json!({ "channel": { "name": "a" } }),
        json!({ "channels": [] }),
        json!({ "channels": ["a", 7] }),
        json!({ "channels": [["a"]] }),
        json!({ "Channel": "a" }),
    ];
    for event in ["subscribe", "unsubscribe"] {
        for argument in &arguments {
            let answer = client.call(event, argument).await;
            assert_eq!(answer["ok"], false, "{event} {argument}: {answer}");
            assert_eq!(
                answer["error"], "bad_request",
                "{event} {argument}: {answer}"
            );
            assert!(
                answer["message"].is_string(),
                "{event} {argument}: {answer}"
            );
        }
    }
    client.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn an_event_without_argument_or_with_two_is_a_bad_request() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.send(r#"42100["subscribe"]"#).await;
    assert_eq!(client.answer(100).await["error"], "bad_request");
    client
        .send(r#"42101["subscribe",{"channel":"a"},{"channel":"b"}]"#)
        .await;
    assert_eq!(client.answer(101).await["error"], "bad_request");
}

#[tokio::test]
async fn an_event_that_nobody_knows_is_a_bad_request() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    let answer = client.call("unknown", &json!({ "channel": "a" })).await;
    assert_eq!(answer["error"], "bad_request");
    client.emit("unknown", &json!(1)).await;
    client.subscribe("still-there").await;
}

#[tokio::test]
async fn reserved_and_empty_names_are_bad_channels() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    let names = [
        "",
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ];
    for name in names {
        let answer = client.call("subscribe", &json!({ "channel": name })).await;
        assert_eq!(answer["error"], "bad_channel", "{name}: {answer}");
        let among = client
            .call("subscribe", &json!({ "channels": ["fine", name] }))
            .await;
        assert_eq!(among["error"], "bad_channel", "{name}: {among}");
    }
    // A list with one bad name subscribes to none of them.
    assert_eq!(redis.publish("fine", "1").await, 0);
}
