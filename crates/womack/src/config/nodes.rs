//! What stands between this node and its clients.

use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use super::{
    ConfigError, Secret,
    check::{MIN_TIME, ensure, ensure_in},
    settings::NodeSettings,
};

/// Below this, clients would do nothing but connect.
const MIN_AGE: Duration = Duration::from_millis(100);

/// Whoever reads one message could try all shorter ones.
const MIN_SECRET_BYTES: usize = 16;

/// What stands between this node and its clients: balancers, and other nodes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Nodes {
    /// Networks whose proxies are believed whom they speak for.
    #[serde(rename = "trusted-proxy")]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted proxies begin with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether requests are carried to the node of their session.
    #[serde(rename = "no-relay")]
    pub relays: bool,
    /// Prefix of the Redis channels on which nodes speak to one another.
    pub relay_key: String,
    /// The secret that all nodes share, so that nobody else can speak for them.
    pub relay_secret: Option<Secret>,
    /// How long another node may take to answer, or to show that it is there.
    #[serde(rename = "relay-timeout-seconds")]
    pub relay_timeout: Duration,
    /// Requests and WebSockets that may be under way to other nodes, and as many from them.
    pub max_relayed_requests: usize,
    /// Bytes that may wait to be published for other nodes.
    pub max_relay_bytes: usize,
    /// How long the server serves on after it was told to stop.
    pub drain_delay: Duration,
    /// About how long a client may stay connected; `None` for as long as it likes.
    pub max_connection_age: Option<Duration>,
}

impl Nodes {
    /// Fills what `settings` leave open with the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for an invalid setting.
    pub fn resolve(settings: NodeSettings) -> Result<Self, ConfigError> {
        let defaults = Self::default();
        let trusted_proxies = settings.trusted_proxy.unwrap_or_default();
        let nodes = Self {
            trusted_proxies: trusted_proxies.iter().map(|network| network.0).collect(),
            proxy_protocol: settings.proxy_protocol.unwrap_or(defaults.proxy_protocol),
            relays: !settings.no_relay.unwrap_or(!defaults.relays),
            relay_key: settings.relay_key.unwrap_or(defaults.relay_key),
            relay_secret: settings.relay_secret.map(Secret::from),
            relay_timeout: settings
                .relay_timeout_seconds
                .map_or(defaults.relay_timeout, |s| s.0),
            max_relayed_requests: settings
                .max_relayed_requests
                .unwrap_or(defaults.max_relayed_requests),
            max_relay_bytes: settings.max_relay_bytes.unwrap_or(defaults.max_relay_bytes),
            drain_delay: settings.drain_delay.map_or(defaults.drain_delay, |s| s.0),
            max_connection_age: settings.max_connection_age.map(|s| s.0),
        };
        nodes.check()?;
        Ok(nodes)
    }

    fn check(&self) -> Result<(), ConfigError> {
        ensure(
            !self.proxy_protocol || !self.trusted_proxies.is_empty(),
            ConfigError::needs("proxy-protocol", "trusted-proxy"),
        )?;
        ensure(!self.relay_key.is_empty(), ConfigError::empty("relay-key"))?;
        let secret = self.relay_secret.as_ref().map(Secret::reveal);
        ensure(
            secret.is_none_or(|secret| secret.len() >= MIN_SECRET_BYTES),
            ConfigError::ShortSecret {
                setting: "relay-secret",
                least: MIN_SECRET_BYTES,
            },
        )?;
        ensure_in("relay-timeout-seconds", self.relay_timeout, MIN_TIME..)?;
        match self.max_connection_age {
            Some(age) => ensure_in("max-connection-age", age, MIN_AGE..),
            None => Ok(()),
        }
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            relays: true,
            relay_key: "womack-relay".to_owned(),
            relay_secret: None,
            relay_timeout: Duration::from_secs(5),
            max_relayed_requests: 10_000,
            max_relay_bytes: 64 << 20,
            drain_delay: Duration::ZERO,
            max_connection_age: None,
        }
    }
}
