//! Publishes messages, for Rust programs and for the command line.

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::Error;

/// Publishes messages to the browsers that subscribed to a channel.
///
/// It is how anything outside a shard speaks to clients, and needs nothing of a server but the
/// Redis that both use. Clones share one connection, which comes back by itself when it breaks.
///
/// ```no_run
/// # async fn example() -> Result<(), womack::Error> {
/// let publisher = womack::Publisher::connect("redis://localhost", womack::DEFAULT_KEY).await?;
/// publisher.publish(&["hello"], &serde_json::json!({"hello": "world"})).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Publisher {
    connection: ConnectionManager,
    key: String,
}

impl Publisher {
    /// Connects to the Redis at `url`; `key` is the Redis channel prefix.
    ///
    /// # Errors
    /// [`Error::Redis`] when the URL is none, or Redis cannot be reached.
    pub async fn connect(url: &str, key: impl Into<String>) -> Result<Self, Error> {
        let client = redis::Client::open(url)?;
        Ok(Self {
            connection: ConnectionManager::new_with_config(client, config()).await?,
            key: key.into(),
        })
    }

    /// As [`Publisher::connect`], but connects when there is something to publish.
    ///
    /// # Errors
    /// [`Error::Redis`] when the URL is none.
    pub(crate) fn lazy(url: &str, key: impl Into<String>) -> Result<Self, Error> {
        let client = redis::Client::open(url)?;
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, config())?,
            key: key.into(),
        })
    }

    /// Publishes `{"data": data}` on each of `channels`, in one round trip. Returns how many
    /// subscribers Redis passed it to: servers, not browsers.
    ///
    /// # Errors
    /// [`Error::Json`] when `data` cannot be JSON, [`Error::Redis`] when Redis refuses.
    pub async fn publish(&self, channels: &[&str], data: &impl Serialize) -> Result<u64, Error> {
        #[derive(Serialize)]
        struct Envelope<'a, T> {
            data: &'a T,
        }
        let envelope = serde_json::value::to_raw_value(&Envelope { data })?;
        self.publish_envelope(channels, &envelope).await
    }

    /// Publishes `envelope` as it is on each of `channels`, in one round trip.
    ///
    /// # Errors
    /// [`Error::Redis`] when Redis refuses.
    pub async fn publish_envelope(
        &self,
        channels: &[&str],
        envelope: &RawValue,
    ) -> Result<u64, Error> {
        let mut pipeline = redis::pipe();
        for channel in channels {
            pipeline.publish(format!("{}:{channel}", self.key), envelope.get());
        }
        let counts: Vec<u64> = pipeline.query_async(&mut self.connection.clone()).await?;
        Ok(counts.into_iter().sum())
    }
}

fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new().set_number_of_retries(1)
}
