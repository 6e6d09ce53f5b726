//! Clients without a login that try to make the server hold more than its budget, or to keep others
//! from being served, at default settings but for the budget.

use serde_json::json;
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Redis, Server, Signal};

use crate::{memory::peak, turn};

/// The budget, and what the process may have beyond it.
const BUDGET: &str = "128M";
const MOST: usize = (128 + 64) << 20;

async fn launch(redis: &Redis) -> Server {
    Launch::new(redis)
        .flag("--memory-budget", BUDGET)
        .flag("--shards", "1")
        .start()
        .await
}

/// A client that behaves is served while others do not.
struct Witness {
    client: Client,
    number: usize,
}

impl Witness {
    async fn of(server: &Server) -> Self {
        let mut client = Client::connect(server.address()).await;
        client.subscribe("seen").await;
        Self { client, number: 0 }
    }

    async fn is_served(&mut self, redis: &Redis) {
        let number = self.number.to_string();
        self.number += 1;
        redis.publish("seen", &number).await;
        assert_eq!(self.client.message("seen").await, number);
    }
}

#[tokio::test]
async fn frames_of_a_byte_do_not_fill_the_memory() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = launch(&redis).await;
    let mut witness = Witness::of(&server).await;
    // As much as a socket takes while the server does not read.
    let frames = raw::text("x").repeat(9000);
    let mut sockets = Vec::new();
    for _ in 0..400 {
        sockets.push(Raw::upgraded(server.address(), "/ws").await);
    }
    server.signal(Signal::Halt).await;
    for socket in &mut sockets {
        socket.send(&frames).await;
    }
    server.signal(Signal::GoOn).await;
    witness.is_served(&redis).await;
    // Whatever was sent is answered by now, or its client closed.
    for socket in &mut sockets {
        socket.finish().await;
        socket.end().await;
    }
    let peak = peak(&server);
    assert!(peak < MOST, "{peak}");
}

#[tokio::test]
async fn one_that_changes_a_thousand_channels_again_and_again_is_closed() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = launch(&redis).await;
    let mut witness = Witness::of(&server).await;
    let channels: Vec<_> = (0..1000).map(|at| format!("c{at}")).collect();
    let change = |word: &str| raw::text(&json!({ word: channels }).to_string());
    let changes = [change("subscribe"), change("unsubscribe")].concat();
    let mut socket = Raw::upgraded(server.address(), "/ws").await;
    for _ in 0..50 {
        socket.send(&changes).await;
    }
    assert_eq!(socket.close_code().await, Some(1008));
    witness.is_served(&redis).await;
}
