//! A Redis that answers BUSY, because a script runs for too long, is there and answers later.

use serde_json::json;
use tokio::task::JoinHandle;
use womack_test_support::commander::Commander;
use womack_test_support::{Broker, Client, Launch, Redis, eventually, metrics, within};

/// Answers that the server gives while it is busy before the script is ended.
const BUSY_ANSWERS: usize = 20;

/// A script that runs until it is ended.
struct Script {
    running: JoinHandle<()>,
    /// Connected before the script began: a busy server does not let clients log in.
    other: Commander,
}

impl Script {
    async fn start(redis: &Redis) -> Self {
        let [mut one, mut other] = [redis.address(), redis.address()].map(Commander::to);
        assert!(one.connect().await && other.connect().await);
        redis
            .command(&["CONFIG", "SET", "lua-time-limit", "1"])
            .await;
        let running = tokio::spawn(async move {
            let endless = ["EVAL", "while true do end", "0"];
            one.run::<()>(&endless).await;
        });
        let mut script = Self { running, other };
        script.answer_busy().await;
        script
    }

    /// Waits until the server has said some more times that it is busy.
    async fn answer_busy(&mut self) {
        let mut answers = 0;
        let told = async {
            while answers < BUSY_ANSWERS {
                let is_connected = self.other.connect().await;
                let pong = self.other.run::<String>(&["PING"]).await;
                answers += usize::from(is_connected && pong.is_none());
            }
        };
        within("redis is busy", told).await;
    }

    async fn end(mut self) {
        // The client that runs the script stops waiting for it before it has ended.
        let killed = async {
            while self.other.run::<String>(&["PING"]).await.is_none() {
                self.other.run::<String>(&["SCRIPT", "KILL"]).await;
            }
        };
        within("the end of the script", killed).await;
        self.running.abort();
    }
}

/// How often Redis has refused a command.
async fn refused(redis: &Redis, command: &str) -> u64 {
    let told = redis.command(&["INFO", "commandstats"]).await;
    let told: String = redis::from_redis_value(told).expect("text");
    let prefix = format!("cmdstat_{command}:");
    let line = told.lines().find_map(|line| line.strip_prefix(&prefix));
    let field = line.and_then(|line| {
        line.split(',')
            .find_map(|field| field.strip_prefix("rejected_calls="))
    });
    field.map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn channels_that_are_left_and_asked_for_again_meanwhile_are_live_after_it() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis)
        .arg("--gap-notices")
        .flag("--unsubscribe-grace-seconds", "0");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    let mut number = 0;
    // The first command that is refused keeps the others back, so each is the first once.
    for command in ["subscribe", "unsubscribe"] {
        let repeated = async {
            while refused(&redis, command).await == 0 {
                client.subscribe("returns").await;
                let mut script = Script::start(&redis).await;
                let mut requests = Vec::new();
                if command == "subscribe" {
                    requests.push(client.ask("subscribe", &json!("comes")).await);
                    script.answer_busy().await;
                }
                client.unsubscribe("returns").await;
                script.answer_busy().await;
                for channel in ["returns", "comes"] {
                    requests.push(client.ask("subscribe", &json!(channel)).await);
                }
                script.answer_busy().await;
                script.end().await;
                for request in requests {
                    assert_eq!(client.answer(request).await["ok"], true);
                }
                for channel in ["returns", "comes"] {
                    number += 1;
                    assert_eq!(redis.publish(channel, &number.to_string()).await, 1);
                    assert_eq!(client.message(channel).await, number.to_string());
                }
                client.unsubscribe("comes").await;
            }
        };
        within("a command that is refused", repeated).await;
    }
    let read = metrics::Metrics::of(server.address()).await;
    assert_eq!(read.sum("womack_redis_gaps_total", ""), 0.0);
}

#[tokio::test]
async fn names_of_other_publishers_are_asked_for_again_and_no_refusal_is_told() {
    let redis = Redis::start().await;
    let mut script = Script::start(&redis).await;
    let launch = Launch::new(&redis).flag("--emitter-key", "socket.io");
    let server = launch.start_unready().await;
    script.answer_busy().await;
    script.end().await;
    server.ready().await;
    eventually("the patterns of the emitter", async || {
        let patterns = redis.command(&["PUBSUB", "NUMPAT"]).await;
        redis::from_redis_value::<u64>(patterns).expect("a number") == 2
    })
    .await;
    let log = server.log();
    assert!(
        !log.iter().any(|line| line.contains("redis refuses")),
        "{log:?}"
    );
}
