//! Many clients of mixed kinds, which check by themselves that they get everything in order.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::driver::Part;
use crate::{Broker, Driver, PATIENCE};

/// How many clients have a channel in common, if there are so many.
const CLIENTS_PER_CHANNEL: usize = 50;

/// Clients of all generations and transports, and the program that publishes for them.
pub struct Fleet {
    part: Part,
}

/// What has become of a fleet.
#[derive(Debug)]
pub struct Voyage {
    /// How many messages were published.
    pub sent: u64,
    /// What clients missed, or got twice, or out of order.
    pub complaints: Vec<String>,
    /// How often each client has lost its connection.
    pub losses: Vec<u64>,
    /// The longest that any client was away, in milliseconds.
    pub worst_millis: u64,
    /// What clients said why.
    pub reasons: Value,
}

impl Fleet {
    /// Connects `count` clients to the server at `address` and subscribes each to one of some
    /// channels.
    pub async fn connect(address: SocketAddr, broker: &impl Broker, count: usize) -> Self {
        let channels = 0..count.div_ceil(CLIENTS_PER_CHANNEL);
        let channels: Vec<_> = channels.map(|at| format!("fleet-{at}")).collect();
        let mut part = Driver::node().part("fleet");
        let command = json!({
            "do": "connect",
            "library": "fleet",
            "url": format!("http://{address}"),
            "redis": broker.url(),
            "channels": channels,
            "key": "womack:ns:default",
            "count": count,
        });
        part.ask(command, "connected").await;
        Self { part }
    }

    /// Publishes so many messages a second from here on, to each channel in turn.
    pub async fn publish(&self, rate: u32) {
        self.part
            .command(json!({ "do": "publish", "rate": rate }))
            .await;
    }

    /// From here on each client that loses its connection has got all that is published by now.
    pub async fn mark(&mut self) {
        self.part.ask(json!({ "do": "mark" }), "marked").await;
    }

    /// Waits until all clients are connected and subscribed.
    pub async fn settle(&mut self) {
        self.wait("settle", "settled").await;
    }

    /// Waits until every client has what is published from here on, which is the end of it.
    pub async fn finish(mut self) -> Voyage {
        let event = self.wait("finish", "finished").await;
        let numbers = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
        Voyage {
            sent: event["sent"].as_u64().unwrap_or_default(),
            complaints: serde_json::from_value(event["complaints"].clone()).unwrap_or_default(),
            losses: numbers(&event["losses"]),
            worst_millis: event["worst"][0].as_u64().unwrap_or_default(),
            reasons: event["reasons"].clone(),
        }
    }

    async fn wait(&mut self, command: &str, event: &str) -> Value {
        let asked = self.part.ask(json!({ "do": command }), event);
        if let Ok(event) = tokio::time::timeout(PATIENCE.mul_f32(0.9), asked).await {
            return event;
        }
        let missing = self.part.ask(json!({ "do": "missing" }), "missing").await;
        panic!("not {event} yet: {missing}");
    }
}
