//! Namespaces: with the default key, with a key of their own, and without a name.

use serde_json::json;
use womack_test_support::clients::{Drivers, FLAVOURS};
use womack_test_support::{Client, Launch, Redis, Server};

/// A server with one namespace on the default key and one with a key of its own.
async fn server(redis: &Redis) -> Server {
    Launch::new(redis)
        .arg("--namespace=/another")
        .arg("--namespace=/tenant=some:key")
        .start()
        .await
}

#[tokio::test]
async fn every_library_gets_only_its_namespaces_messages() {
    let redis = Redis::start().await;
    let server = server(&redis).await;
    let drivers = Drivers::default();
    let mut root = drivers.everyone(&server.url("/")).await;
    let mut another = drivers.everyone(&server.url("/another")).await;
    let mut tenant = drivers.everyone(&server.url("/tenant")).await;
    for client in root.iter_mut().chain(&mut another).chain(&mut tenant) {
        client.subscribe("a").await;
    }
    redis.publish("a", r#"{"data":"shared"}"#).await;
    redis
        .publish_bytes(b"some:key:a", br#"{"data":"own"}"#)
        .await;
    for client in root.iter_mut().chain(&mut another) {
        client.message("a").await.is("a", r#"{"data":"shared"}"#);
    }
    for client in &mut tenant {
        client.message("a").await.is("a", r#"{"data":"own"}"#);
    }
    redis.publish("a", r#"{"data":"end"}"#).await;
    for client in root.iter_mut().chain(&mut another) {
        client.message("a").await.is("a", r#"{"data":"end"}"#);
    }
}

#[tokio::test]
async fn every_library_can_be_excepted_by_its_id_in_a_namespace() {
    let redis = Redis::start().await;
    let server = server(&redis).await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/another")).await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    let ids: Vec<String> = clients
        .iter()
        .map(|client| client.id().to_owned())
        .collect();
    for id in &ids {
        let sparing = json!({ "data": 1, "except": id }).to_string();
        let marker = json!({ "data": 2 }).to_string();
        redis.publish("a", &sparing).await;
        redis.publish("a", &marker).await;
        for client in &mut clients {
            if client.id() != id {
                client.message("a").await.is("a", &sparing);
            }
            client.message("a").await.is("a", &marker);
        }
    }
}

#[tokio::test]
async fn every_library_is_told_that_a_namespace_is_invalid() {
    let redis = Redis::start().await;
    let server = server(&redis).await;
    let drivers = Drivers::default();
    for flavour in FLAVOURS {
        let mut client = drivers.begin(*flavour, &server.url("/unknown")).await;
        let message = match flavour.is_legacy() {
            true => "unauthorized",
            false => "Invalid namespace",
        };
        assert_eq!(client.refused().await, message, "{flavour:?}");
    }
}

#[tokio::test]
async fn one_transport_serves_two_namespaces_apart() {
    let redis = Redis::start().await;
    let server = server(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    client.join("/tenant").await;
    client.subscribe("a").await;
    redis.publish_bytes(b"some:key:a", b"1").await;
    assert_eq!(client.packet().await, r#"42/tenant,["a",1]"#);
    redis.publish("a", "2").await;
    assert_eq!(client.packet().await, r#"42["a",2]"#);
    client.send("41/tenant,").await;
    client.join("/another").await;
    client.subscribe("a").await;
    redis.publish_bytes(b"some:key:a", b"3").await;
    redis.publish("a", "4").await;
    let mut packets = [client.packet().await, client.packet().await];
    packets.sort();
    assert_eq!(packets, [r#"42/another,["a",4]"#, r#"42["a",4]"#]);
}

#[tokio::test]
async fn an_unknown_namespace_leaves_the_connection_open() {
    let redis = Redis::start().await;
    let server = server(&redis).await;
    let mut client = Client::open(server.address()).await;
    client.send("40/random,").await;
    let refusal = json!({ "message": "Invalid namespace" });
    assert_eq!(client.packet().await, format!("44/random,{refusal}"));
    client.join("/").await;
    client.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn another_key_makes_other_channels() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis).flag("--key", "my:app").start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    assert_eq!(redis.publish("a", "1").await, 0);
    assert_eq!(redis.publish_bytes(b"my:app:a", b"2").await, 1);
    assert_eq!(client.message("a").await, "2");
}

#[tokio::test]
async fn keys_that_begin_alike_are_not_confused() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis)
        .flag("--key", "k")
        .flag("--namespace", "/longer=k:a");
    let server = launch.start().await;
    let mut short = Client::connect(server.address()).await;
    let mut long = Client::connect_to(server.address(), "/longer").await;
    // Both are the Redis channel k:a:b.
    short.subscribe("a:b").await;
    long.subscribe("b").await;
    redis.publish_bytes(b"k:a:b", b"1").await;
    assert_eq!(short.message("a:b").await, "1");
    assert_eq!(long.message("b").await, "1");
}
