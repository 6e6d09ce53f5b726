//! Listening to server events.

use futures_util::StreamExt;
use redis::aio::PubSub;
use serde_json::Value;

use crate::{Broker, Redis, within};

/// The key that tests give to `--events-key`.
pub const KEY: &str = "womack:event:default";

/// A back end that listens to server events.
pub struct ServerEvents {
    subscription: PubSub,
}

/// A server event: its kind, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerEvent {
    /// `subscribe`, `unsubscribe` or `custom`.
    pub kind: String,
    /// The JSON object.
    pub data: Value,
}

impl ServerEvents {
    /// Listens to all kinds of events below [`KEY`].
    pub async fn of(broker: &impl Broker) -> Self {
        Self::below(KEY, broker).await
    }

    /// Listens to all kinds of events below a key.
    pub async fn below(key: &str, broker: &impl Broker) -> Self {
        let client = redis::Client::open(broker.url()).expect("a Redis URL");
        let subscribing = async {
            let mut subscription = client.get_async_pubsub().await?;
            for kind in ["subscribe", "unsubscribe", "custom"] {
                subscription.subscribe(format!("{key}:{kind}")).await?;
            }
            redis::RedisResult::Ok(subscription)
        };
        let subscription = within("a subscription to server events", subscribing).await;
        Self {
            subscription: subscription.expect("Redis takes a subscription"),
        }
    }

    /// Waits for the next event, of any kind.
    pub async fn next(&mut self) -> ServerEvent {
        let mut messages = self.subscription.on_message();
        let message = within("a server event", messages.next()).await;
        let message = message.expect("the subscription lasts");
        let kind = message.get_channel_name().rsplit(':').next();
        let data = serde_json::from_slice(message.get_payload_bytes());
        ServerEvent {
            kind: kind.unwrap_or_default().to_owned(),
            data: data.expect("server events are JSON"),
        }
    }

    /// Waits for the next event, which must be of this kind and channel; returns what it says.
    #[track_caller]
    pub fn expect(&mut self, kind: &str, channel: &str) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let event = self.next().await;
            let found = (event.kind.as_str(), event.data["channel"].as_str());
            assert_eq!(found, (kind, Some(channel)), "{event:?}, asked at {caller}");
            event.data
        }
    }

    /// Waits for the next `count` events, which may come in any order: kind and channel of each.
    pub async fn sorted(&mut self, count: usize) -> Vec<(String, String)> {
        let mut events = Vec::new();
        for _ in 0..count {
            let ServerEvent { kind, data } = self.next().await;
            events.push((
                kind,
                data["channel"].as_str().unwrap_or_default().to_owned(),
            ));
        }
        events.sort();
        events
    }
}

/// The Redis keys that exist below [`KEY`].
pub async fn keys(redis: &Redis) -> Vec<String> {
    let keys = redis.command(&["KEYS", &format!("{KEY}:*")]).await;
    let mut keys: Vec<String> = redis::from_redis_value(keys).expect("KEYS answers a list");
    keys.sort();
    keys
}
