//! Connections to Redis for callers that outlive it: errors are answers here, not failures.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{FromRedisValue, cmd};
use tokio::time::timeout;

/// The longest time that Redis may take to answer before it counts as gone.
const ANSWER: Duration = Duration::from_secs(5);

/// Sends commands, and connects anew after an error.
pub struct Commander {
    address: SocketAddr,
    connection: Option<MultiplexedConnection>,
}

impl Commander {
    /// Connects with the first command.
    pub fn to(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    /// Connects if no connection stands. False if Redis cannot be reached.
    pub async fn connect(&mut self) -> bool {
        if self.connection.is_none() {
            let client = redis::Client::open(format!("redis://{}", self.address));
            let Ok(client) = client else { return false };
            let opening = timeout(ANSWER, client.get_multiplexed_async_connection());
            self.connection = opening.await.ok().and_then(Result::ok);
        }
        self.connection.is_some()
    }

    /// Runs a command; `None` if Redis did not answer, or not that.
    pub async fn run<T: FromRedisValue>(&mut self, words: &[&str]) -> Option<T> {
        if !self.connect().await {
            return None;
        }
        let connection = self.connection.as_mut()?;
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        match timeout(ANSWER, command.query_async(connection)).await {
            Ok(Ok(value)) => Some(value),
            _ => {
                self.connection = None;
                None
            }
        }
    }
}

/// A subscription to some Redis channels.
pub struct Listener {
    subscription: PubSub,
}

impl Listener {
    /// Subscribes; `None` if Redis cannot be reached.
    pub async fn to(address: SocketAddr, channels: &[String]) -> Option<Self> {
        let client = redis::Client::open(format!("redis://{address}")).ok()?;
        let opening = timeout(ANSWER, client.get_async_pubsub());
        let mut subscription = opening.await.ok()?.ok()?;
        for channel in channels {
            subscription.subscribe(channel).await.ok()?;
        }
        Some(Self { subscription })
    }

    /// The next message: its channel and its text. `None` when Redis is gone.
    pub async fn next(&mut self) -> Option<(String, String)> {
        let message = self.subscription.on_message().next().await?;
        let text = String::from_utf8_lossy(message.get_payload_bytes()).into_owned();
        Some((message.get_channel_name().to_owned(), text))
    }
}
