//! Clients that people use, none of which may notice that this is not Redis.

use std::process::Command;

use futures_util::StreamExt;
use redis::{AsyncConnectionConfig, Client, ErrorKind, PushInfo, PushKind, ServerErrorKind, Value};
use tokio::sync::mpsc;

use crate::support::{Broker, is_installed};

#[tokio::test]
async fn the_redis_crate_in_resp2() {
    let broker = Broker::start();
    let client = Client::open(broker.url()).unwrap();
    let mut subscriber = client.get_async_pubsub().await.unwrap();
    subscriber.subscribe(&["a", "b"]).await.unwrap();
    subscriber.psubscribe("c*").await.unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let receivers: (i64, i64, i64) = redis::pipe()
        .cmd("PUBLISH")
        .arg("a")
        .arg(b"\0\r\n\xff")
        .cmd("PUBLISH")
        .arg("cd")
        .arg("pattern")
        .cmd("PUBLISH")
        .arg("e")
        .arg("nobody")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(receivers, (1, 1, 0));
    let mut messages = subscriber.on_message();
    let first = messages.next().await.unwrap();
    assert_eq!(
        (first.get_channel_name(), first.get_payload_bytes()),
        ("a", &b"\0\r\n\xff"[..])
    );
    let second = messages.next().await.unwrap();
    assert_eq!(
        (second.get_channel_name(), second.get_payload_bytes()),
        ("cd", &b"pattern"[..])
    );
    assert_eq!(second.get_pattern::<String>().unwrap(), "c*");
    drop(messages);
    subscriber.unsubscribe("a").await.unwrap();
    subscriber.punsubscribe("c*").await.unwrap();
    assert_eq!(
        subscriber.ping::<Vec<String>>().await.unwrap(),
        ["pong", ""]
    );
}

#[tokio::test]
async fn the_redis_crate_in_resp3() {
    let broker = Broker::start();
    let client = Client::open(format!("{}?protocol=resp3", broker.url())).unwrap();
    let (sender, mut pushes) = mpsc::unbounded_channel();
    let config = AsyncConnectionConfig::new().set_push_sender(sender);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap();
    connection.subscribe("a").await.unwrap();
    connection.psubscribe("b*").await.unwrap();
    // One connection for both, which RESP3 allows.
    let publish = |channel| redis::cmd("PUBLISH").arg(channel).arg("hello").to_owned();
    let receivers: i64 = publish("a").query_async(&mut connection).await.unwrap();
    assert_eq!(receivers, 1);
    let receivers: i64 = publish("bc").query_async(&mut connection).await.unwrap();
    assert_eq!(receivers, 1);
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    for (kind, data) in [
        (PushKind::Subscribe, vec![text("a"), Value::Int(1)]),
        (PushKind::PSubscribe, vec![text("b*"), Value::Int(2)]),
        (PushKind::Message, vec![text("a"), text("hello")]),
        (
            PushKind::PMessage,
            vec![text("b*"), text("bc"), text("hello")],
        ),
    ] {
        assert_eq!(pushes.recv().await.unwrap(), PushInfo { kind, data });
    }
    let info = redis::cmd("INFO").arg("replication").to_owned();
    let info: redis::InfoDict = info.query_async(&mut connection).await.unwrap();
    assert_eq!(info.get::<String>("role").as_deref(), Some("master"));
    connection.unsubscribe("a").await.unwrap();
    let receivers: i64 = publish("a").query_async(&mut connection).await.unwrap();
    assert_eq!(receivers, 0);
}

#[tokio::test]
async fn the_redis_crate_with_a_transaction_and_errors() {
    let broker = Broker::start();
    let client = Client::open(broker.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let replies: (i64, String) = redis::pipe()
        .atomic()
        .cmd("PUBLISH")
        .arg("a")
        .arg("b")
        .cmd("ECHO")
        .arg("text")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(replies, (0, "text".into()));
    let error = redis::cmd("GET")
        .arg("a")
        .query_async::<Value>(&mut connection)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ResponseError)
    );
    assert!(
        error.to_string().contains("unknown command 'GET'"),
        "{error}"
    );
}

#[test]
fn redis_cli_publishes_and_asks() {
    if !is_installed("redis-cli", "redis-cli ") {
        return;
    }
    let broker = Broker::start();
    let mut subscriber = broker.client();
    subscriber.send("SUBSCRIBE womack:ns:default:hello\r\n");
    while subscriber.line() != ":1\r\n" {}
    let payload = r#"{"data": {"hello": "world"}}"#;
    for resp in ["-2", "-3"] {
        let publish = ["PUBLISH", "womack:ns:default:hello", payload];
        assert_eq!(redis_cli(&broker, resp, &publish), "1\n");
        subscriber.expect("*3\r\n$7\r\nmessage\r\n$23\r\nwomack:ns:default:hello\r\n");
        subscriber.expect(format!("${}\r\n{payload}\r\n", payload.len()));
        assert_eq!(redis_cli(&broker, resp, &["PING"]), "PONG\n");
        assert!(redis_cli(&broker, resp, &["INFO"]).contains("redis_version:"));
        let replication = redis_cli(&broker, resp, &["INFO", "replication"]);
        assert!(replication.contains("role:master") && replication.contains("master_replid:"));
        let settings = redis_cli(&broker, resp, &["CONFIG", "GET", "databases"]);
        assert_eq!(
            settings.split_whitespace().collect::<Vec<_>>(),
            ["databases", "16"]
        );
        assert!(redis_cli(&broker, resp, &["CLIENT", "LIST"]).contains("cmd=client|list"));
        assert!(redis_cli(&broker, resp, &["GET", "a"]).starts_with("ERR unknown command"));
    }
}

fn redis_cli(broker: &Broker, resp: &str, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &broker.address.port().to_string(), resp])
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}
