//! Channels with many clients: written in slices, and nobody notices.

use serde_json::json;
use tokio::task::JoinSet;
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Redis, Server};

async fn socket(server: &Server, channel: &str) -> Raw {
    let mut socket = Raw::socket(server.address()).await;
    let subscribe = json!(["subscribe", { "channel": channel }]);
    socket.send(&raw::text(&format!("420{subscribe}"))).await;
    let ack = socket.frame().await.expect("an acknowledgement");
    assert!(ack.payload.starts_with(b"430["), "{ack:?}");
    socket
}

async fn number(socket: &mut Raw, channel: &str) -> usize {
    let frame = socket.frame().await.expect("a message");
    let text = String::from_utf8(frame.payload).expect("text");
    let json = text
        .strip_prefix(&format!("42[\"{channel}\","))
        .and_then(|rest| rest.strip_suffix(']'));
    json.and_then(|json| json.parse().ok())
        .unwrap_or_else(|| panic!("not a message: {text}"))
}

#[tokio::test]
async fn everybody_gets_everything_in_order_while_others_come_and_go() {
    const MESSAGES: usize = 500;
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--fanout-slice", "7")
        .start()
        .await;
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let mut socket = socket(&server, "many").await;
        readers.spawn(async move {
            for expected in 0..MESSAGES {
                assert_eq!(number(&mut socket, "many").await, expected);
            }
        });
    }
    let mut few = Client::connect(server.address()).await;
    few.subscribe("few").await;
    for at in 0..MESSAGES {
        redis.publish("many", &at.to_string()).await;
        if at % 50 == 0 {
            let mut passer_by = socket(&server, "many").await;
            redis.publish("few", &at.to_string()).await;
            assert_eq!(few.message("few").await, at.to_string());
            readers.spawn(async move {
                // Live means that whatever is published from then on arrives.
                assert!(number(&mut passer_by, "many").await <= at + 1);
            });
        }
    }
    while let Some(read) = readers.join_next().await {
        read.expect("everything, in order");
    }
}

#[tokio::test]
async fn exceptions_and_the_last_to_leave_are_heeded_in_slices() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--fanout-slice", "2")
        .flag("--shards", "1")
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(server.address()).await;
        client.subscribe("many").await;
        clients.push(client);
    }
    let message = json!({ "data": 1, "except": clients[3].id() }).to_string();
    redis.publish("many", &message).await;
    redis.publish("many", "2").await;
    for (at, client) in clients.iter_mut().enumerate() {
        if at != 3 {
            assert_eq!(client.message("many").await, message);
        }
        assert_eq!(client.message("many").await, "2");
        client.unsubscribe("many").await;
    }
    clients[0].subscribe("many").await;
    redis.publish("many", "3").await;
    assert_eq!(clients[0].message("many").await, "3");
}
