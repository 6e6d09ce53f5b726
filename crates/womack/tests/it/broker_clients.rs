//! The embedded broker, through the same Redis clients that speak to a real one.

use serde_json::json;
use tokio::process::Command;
use womack_test_support::clients::Publisher;
use womack_test_support::{Broker, Client, Driver, Launch, Server, free_address};

use std::net::SocketAddr;

/// A server with its embedded broker, and where that listens.
async fn start() -> (Server, SocketAddr) {
    let broker = free_address();
    let server = Launch::bare()
        .flag("--host", "127.0.0.1")
        .flag("--port", "0")
        .flag("--redis-url", "embedded")
        .flag("--redis-host", "127.0.0.1")
        .flag("--redis-port", &broker.port().to_string())
        .start()
        .await;
    (server, broker)
}

async fn redis_cli(broker: SocketAddr, words: &[&str]) -> String {
    let port = broker.port().to_string();
    let output = Command::new("redis-cli")
        .args(["-p", &port])
        .args(words)
        .output()
        .await;
    let output = output.expect("redis-cli is installed (make deps)");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn redis_cli_publishes_to_the_embedded_broker() {
    let (server, broker) = start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("hello").await;
    assert_eq!(redis_cli(broker, &["PING"]).await, "PONG");
    let envelope = r#"{"data": {"hello": "wörld"}}"#;
    let receivers = redis_cli(broker, &["PUBLISH", "womack:ns:default:hello", envelope]).await;
    assert_eq!(receivers, "1");
    assert_eq!(client.message("hello").await, envelope);
    assert_eq!(redis_cli(broker, &["PUBLISH", "nobody", "x"]).await, "0");
}

#[tokio::test]
async fn libraries_publish_and_subscribe_at_the_embedded_broker() {
    let (server, broker) = start().await;
    let (node, python) = (Driver::node(), Driver::python());
    let mut publishers = [
        Publisher::ioredis(&node, &broker).await,
        Publisher::node_redis(&node, &broker).await,
        Publisher::redis_py(&python, &broker).await,
    ];
    let mut listeners = [
        Publisher::ioredis(&node, &broker).await,
        Publisher::node_redis(&node, &broker).await,
        Publisher::redis_py(&python, &broker).await,
    ];
    let mut client = Client::connect(server.address()).await;
    client.subscribe("hello").await;
    for listener in &mut listeners {
        listener.subscribe("womack:ns:default:hello").await;
    }
    for publisher in &mut publishers {
        publisher
            .publish("womack:ns:default:hello", json!("wörld"), json!({}))
            .await;
        let envelope = client.message("hello").await;
        for listener in &mut listeners {
            assert_eq!(listener.message().await, envelope);
        }
    }
}

#[tokio::test]
async fn another_server_may_use_the_embedded_broker_as_its_redis() {
    let (server, broker) = start().await;
    let other = Server::start(&broker).await;
    let mut clients = [
        Client::connect(server.address()).await,
        Client::connect(other.address()).await,
    ];
    for client in &mut clients {
        client.subscribe("a").await;
    }
    let publish = Launch::bare()
        .flag("publish", "a")
        .arg("{\"n\":1}")
        .flag("--redis-url", &broker.url());
    assert_eq!(publish.output().await.0, Some(0));
    let [first, second] = &mut clients;
    assert_eq!(first.message("a").await, second.message("a").await);
}
