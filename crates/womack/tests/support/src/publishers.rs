//! The libraries of other families that publish by Redis.

use serde_json::{Value, json};

use crate::driver::Part;
use crate::{Broker, Driver, Release};

/// `@socket.io/redis-emitter`.
pub struct Emitter {
    part: Part,
}

impl Emitter {
    /// With `ioredis` or `redis` as its Redis client.
    pub async fn open(driver: &Driver, client: &str, broker: &impl Broker) -> Self {
        let mut part = driver.part("redis-emitter");
        let command = json!({
            "do": "open", "library": "redis-emitter", "client": client, "url": broker.url(),
        });
        part.ask(command, "opened").await;
        Self { part }
    }

    /// Calls methods one after the other, each given by its name and arguments, as in
    /// `[["to", "a"], ["emit", "news", 1]]`, and waits until Redis has passed on what came of it.
    pub async fn chain(&mut self, steps: Value) {
        let command = json!({ "do": "chain", "steps": steps });
        self.part.ask(command, "published").await;
    }
}

/// python-socketio's `RedisManager(write_only=True)`.
pub struct PythonManager {
    part: Part,
}

impl PythonManager {
    /// Publishes on `channel`.
    pub async fn open(driver: &Driver, channel: &str, broker: &impl Broker) -> Self {
        let mut part = driver.part("manager");
        let command = json!({
            "do": "open", "library": "manager", "channel": channel, "url": broker.url(),
        });
        part.ask(command, "opened").await;
        Self { part }
    }

    /// Calls a method with keyword arguments, and waits until it has returned.
    pub async fn call(&mut self, method: &str, mut arguments: Value) {
        arguments["do"] = method.into();
        self.part.ask(arguments, "published").await;
    }
}

/// python-juggernaut, as it was released.
pub struct PythonJuggernaut {
    part: Part,
    _release: Release,
}

impl PythonJuggernaut {
    /// Fetches the package, and begins to listen to what the server tells of clients.
    pub async fn open(driver: &Driver, broker: &impl Broker) -> Self {
        let release = Release::python_juggernaut().await;
        let mut part = driver.part("juggernaut");
        let command = json!({
            "do": "open",
            "library": "juggernaut",
            "url": broker.url(),
            "path": release.file("juggernaut.py"),
        });
        part.ask(command, "opened").await;
        part.ask(json!({ "do": "listen" }), "listening").await;
        Self {
            part,
            _release: release,
        }
    }

    /// Calls `publish(channels, data, except_, **options)`.
    pub async fn publish(&mut self, channels: Value, data: Value, except: Value, options: Value) {
        let command = json!({
            "do": "publish",
            "channels": channels,
            "data": data,
            "except_": except,
            "options": options,
        });
        self.part.ask(command, "published").await;
    }

    /// The next event that `subscribe_listen()` yields, which must be of this kind; returns what
    /// it tells.
    pub async fn event(&mut self, kind: &str) -> Value {
        let mut event = self.part.event("message").await;
        assert_eq!(event["kind"], kind, "{event}");
        event["data"].take()
    }
}
