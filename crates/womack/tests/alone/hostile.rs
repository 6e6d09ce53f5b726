//! Clients without a login that try to keep others from being served, at default settings but for
//! the budget. Those that try to make the server hold more than its budget are in `ledger`.

use serde_json::json;
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Redis, Server};

use crate::turn;

const BUDGET: &str = "128M";

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
