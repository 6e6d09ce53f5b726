//! However rounds are written to clients, they get the same.

use serde_json::Value;
use womack_test_support::{Client, Launch, Redis, Server};

const CLIENTS: usize = 40;
const MESSAGES: usize = 300;

/// What the server says of how it writes.
async fn egress(server: &Server) -> String {
    let line = server.logged("write backend selected").await;
    let line: Value = serde_json::from_str(&line).expect("a line of JSON");
    line["fields"]["egress"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn envelope(n: usize) -> String {
    // Small ones, and some that do not fit into what a socket takes at once.
    let filling = if n % 50 == 49 { 200_000 } else { n % 7 };
    format!(r#"{{"data":{n},"filling":"{}"}}"#, "x".repeat(filling))
}

/// Many clients, each in a channel with all and in one with every other, so that a round brings
/// some several frames that do not follow one another.
async fn every_client_gets_everything(server: &Server, redis: &Redis) {
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(server.address()).await;
        client.subscribe("all").await;
        client
            .subscribe(if number % 2 == 0 { "even" } else { "odd" })
            .await;
        clients.push(client);
    }
    for n in 0..MESSAGES {
        let channel = ["even", "all", "odd"][n % 3];
        redis.publish(channel, &envelope(n)).await;
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let own = if number % 2 == 0 { 0 } else { 2 };
        for n in (0..MESSAGES).filter(|n| n % 3 == 1 || n % 3 == own) {
            let channel = ["even", "all", "odd"][n % 3];
            assert_eq!(
                client.message(channel).await,
                envelope(n),
                "client {number}"
            );
        }
    }
}

#[tokio::test]
async fn clients_get_everything_in_order_with_one_write_for_each() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis).flag("--egress", "write").start().await;
    assert_eq!(egress(&server).await, "write");
    every_client_gets_everything(&server, &redis).await;
}

#[tokio::test]
async fn clients_get_everything_in_order_through_io_uring() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis).start().await;
    every_client_gets_everything(&server, &redis).await;
}

#[tokio::test]
async fn where_io_uring_is_forbidden_nothing_else_changes() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis).without_io_uring().start().await;
    assert_eq!(egress(&server).await, "write");
    every_client_gets_everything(&server, &redis).await;
}

#[tokio::test]
async fn io_uring_that_is_asked_for_and_forbidden_is_one_line_and_status_1() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--egress", "io-uring");
    let refusal = launch.without_io_uring().refused().await;
    assert_eq!(refusal.code, Some(1), "{refusal:?}");
    assert_eq!(refusal.stderr.len(), 1, "{refusal:?}");
    assert!(refusal.stderr[0].contains("io_uring"), "{refusal:?}");
}
