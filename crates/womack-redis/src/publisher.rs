//! Publishes messages, for Rust programs and for the command line.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    connect::{Backend, Dispatch, TlsFiles},
    error::Error,
};

/// Publishes messages to the browsers that subscribed to a channel.
///
/// It is how anything outside a shard speaks to clients, and needs nothing of a server but the
/// Redis that both use. Clones share one connection, which comes back by itself when it breaks.
///
/// ```no_run
/// # async fn example() -> Result<(), womack_redis::Error> {
/// let key = "womack:ns:default";
/// let publisher = womack_redis::Publisher::connect("redis://localhost", key).await?;
/// publisher.publish(&["hello"], &serde_json::json!({"hello": "world"})).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Publisher {
    dispatch: Dispatch,
    key: String,
}

impl Publisher {
    /// Connects to the Redis at `url`, in any of the forms of `--redis-url`; `key` is the Redis
    /// channel prefix.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL is none, [`Error::Command`] when Redis cannot be reached.
    pub async fn connect(url: &str, key: impl Into<String>) -> Result<Self, Error> {
        Self::connect_with(url, &TlsFiles::default(), key).await
    }

    /// As [`Publisher::connect`], with `files` for TLS.
    ///
    /// # Errors
    /// The same.
    pub async fn connect_with(
        url: &str,
        files: &TlsFiles,
        key: impl Into<String>,
    ) -> Result<Self, Error> {
        let backend = Backend::parse(url, files)?;
        let publisher = Self::lazy(backend, key);
        publisher.dispatch.connect().await?;
        Ok(publisher)
    }

    /// As [`Publisher::connect`], but connects when there is something to publish.
    pub fn lazy(backend: Backend, key: impl Into<String>) -> Self {
        Self {
            dispatch: Dispatch::new(backend),
            key: key.into(),
        }
    }

    /// Publishes `{"data": data}` on each of `channels`, in one round trip. Returns how many
    /// subscribers Redis passed it to: servers, not browsers.
    ///
    /// # Errors
    /// [`Error::Json`] when `data` cannot be JSON, [`Error::Command`] when Redis refuses.
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
    /// [`Error::Command`] when Redis refuses.
    pub async fn publish_envelope(
        &self,
        channels: &[&str],
        envelope: &RawValue,
    ) -> Result<u64, Error> {
        let channels: Vec<_> = channels
            .iter()
            .map(|channel| format!("{}:{channel}", self.key))
            .collect();
        self.dispatch.publish(&channels, envelope.get()).await
    }
}
