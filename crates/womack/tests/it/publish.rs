//! What is published on Redis reaches the clients of every library, byte for byte and in order.

use serde_json::{Value, json};
use tokio::process::Command;
use womack_test_support::clients::{Drivers, Publisher};
use womack_test_support::{Broker, Client, Driver, Redis, Server};

/// Envelopes whose text must not change on its way.
fn envelopes() -> Vec<String> {
    let mut envelopes: Vec<String> = [
        r#"{"data":{"hello":"world"}}"#,
        r#"{"data":"hé😀 ž \u00e9\/\n","n":1}"#,
        r#"{"data":9223372036854775808,"small":0.1,"zero":-0.0,"exp":1e2}"#,
        r#"{"data":{"a":[1,[2,[3,[{"b":null}]]]],"":{}},"option":true}"#,
        r#"{ "z" : 1 , "a" : [ ] }"#,
        r#"{"data":{"_placeholder":true,"num":0}}"#,
        r#"{"data":"line\u2028separator \u0000 \u001e \\\""}"#,
        r#"{"data":""}"#,
        "{}",
        "[1,\"two\",null]",
        "\"text\"",
        "true",
        "null",
        "0",
    ]
    .map(str::to_owned)
    .into();
    envelopes.push(format!(r#"{{"data":"{}"}}"#, "é".repeat(450_000)));
    envelopes.push(format!(
        r#"{{"data":{}1{}}}"#,
        "[".repeat(60),
        "]".repeat(60)
    ));
    envelopes
}

/// Names as applications have chosen them.
fn channel_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "hello",
        "a:b:c",
        ":",
        "with some spaces",
        "*",
        "h?llo[a-c]*",
        "žluťoučký 😀",
        "/path/like?query=1#fragment",
        "quote\"back\\slash",
        "{hashtag}",
        "message",
        "0",
    ]
    .map(str::to_owned)
    .into();
    names.push("n".repeat(200));
    names
}

#[tokio::test]
async fn every_library_gets_the_exact_envelope() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    for envelope in envelopes() {
        redis.publish("a", &envelope).await;
        for client in &mut clients {
            client.message("a").await.is("a", &envelope);
        }
    }
}

#[tokio::test]
async fn every_library_gets_channels_of_any_name() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    // python-socketio cannot tell an event of that name from its own word for all events.
    for name in channel_names().into_iter().filter(|name| name != "*") {
        for client in &mut clients {
            client.subscribe(&name).await;
        }
        redis.publish(&name, r#"{"data":1}"#).await;
        for client in &mut clients {
            client.message(&name).await.is(&name, r#"{"data":1}"#);
        }
    }
}

#[tokio::test]
async fn star_is_a_name_and_no_pattern() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("*").await;
    client.subscribe("h?llo").await;
    assert_eq!(redis.publish("hello", "1").await, 0);
    redis.publish("*", "2").await;
    assert_eq!(client.message("*").await, "2");
}

#[tokio::test]
async fn redis_cli_publishes() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    for name in channel_names() {
        client.subscribe(&name).await;
        let status = Command::new("redis-cli")
            .args(["-p", &redis.address().port().to_string(), "PUBLISH"])
            .arg(format!("womack:ns:default:{name}"))
            .arg(r#"{"data": {"hello": "wörld"}}"#)
            .stdout(std::process::Stdio::null())
            .status()
            .await
            .expect("redis-cli is installed (make deps)");
        assert!(status.success(), "redis-cli: {status}");
        let envelope = client.message(&name).await;
        assert_eq!(envelope, r#"{"data": {"hello": "wörld"}}"#);
    }
}

#[tokio::test]
async fn publishers_of_every_language_publish() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let (node, python) = (Driver::node(), Driver::python());
    let mut publishers = [
        Publisher::ioredis(&node, &redis).await,
        Publisher::node_redis(&node, &redis).await,
        Publisher::redis_py(&python, &redis).await,
    ];
    let mut client = Client::connect(server.address()).await;
    for name in channel_names() {
        client.subscribe(&name).await;
        let channel = format!("womack:ns:default:{name}");
        for publisher in &mut publishers {
            let data = json!({ "hello": "wörld 😀", "list": [1, 2.5, null] });
            let options = json!({ "ttl": 5, "tags": ["a"], "except": "nobody" });
            publisher.publish(&channel, data.clone(), options).await;
            let envelope: Value = serde_json::from_str(&client.message(&name).await).unwrap();
            let expected = json!({ "data": data, "ttl": 5, "tags": ["a"], "except": "nobody" });
            assert_eq!(envelope, expected);
        }
    }
}

#[tokio::test]
async fn a_message_reaches_all_of_many_clients_once() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect(server.address()).await;
        client.subscribe("a").await;
        clients.push(client);
    }
    let envelope = |n| format!(r#"{{"data":{n}}}"#);
    redis.publish_all("a", (0..50).map(envelope)).await;
    for client in &mut clients {
        for n in 0..50 {
            assert_eq!(client.message("a").await, envelope(n));
        }
    }
}
