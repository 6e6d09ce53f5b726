//! Checks of settings: values and combinations that a server cannot run with.

use std::time::Duration;

use super::{Config, ConfigError};

/// The most threads that own connections.
pub(super) const MAX_SHARDS: usize = 128;
/// The shortest time that clients, or other nodes, are given for anything.
pub(super) const MIN_TIME: Duration = Duration::from_millis(10);
/// The shortest time without a sign of life after which a node is taken for dead.
const MIN_NODE_TIMEOUT: Duration = Duration::from_millis(100);

/// Fails with `otherwise` unless a rule holds.
pub(super) fn ensure(holds: bool, otherwise: ConfigError) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(otherwise) }
}

impl Config {
    /// Finds the first setting that is invalid, alone or beside the others.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ensure(
            (1..=MAX_SHARDS).contains(&self.shards),
            ConfigError::out_of_range("shards", "not between 1 and 128"),
        )?;
        for (setting, time) in [
            ("ping-interval", self.ping_interval),
            ("ping-timeout", self.ping_timeout),
            ("handshake-seconds", self.handshake_timeout),
            ("keep-alive-seconds", self.keep_alive),
        ] {
            let error = ConfigError::out_of_range(setting, "below 10 ms");
            ensure(time >= MIN_TIME, error)?;
        }
        self.check_events()?;
        self.check_publishing()?;
        ensure(!self.key.is_empty(), ConfigError::empty("key"))?;
        self.check_namespaces()
    }

    fn check_events(&self) -> Result<(), ConfigError> {
        let key = self.events_key.as_deref();
        ensure(key != Some(""), ConfigError::empty("events-key"))?;
        for (setting, wants_events) in [
            ("client-events", self.client_events),
            ("presence", !self.presence.is_empty()),
        ] {
            let error = ConfigError::needs(setting, "events-key");
            ensure(key.is_some() || !wants_events, error)?;
        }
        ensure(
            self.node_timeout >= MIN_NODE_TIMEOUT,
            ConfigError::out_of_range("node-timeout-seconds", "below 100 ms"),
        )
    }

    fn check_publishing(&self) -> Result<(), ConfigError> {
        let key = self.publish_key.load();
        ensure(
            key.is_none() || self.admin_listen.is_some(),
            ConfigError::needs("publish-key", "admin-listen"),
        )?;
        ensure(
            key.as_deref() != Some(""),
            ConfigError::empty("publish-key"),
        )?;
        ensure(
            self.python_channel.as_deref() != Some(""),
            ConfigError::empty("python-channel"),
        )
    }

    fn check_namespaces(&self) -> Result<(), ConfigError> {
        for (at, namespace) in self.namespaces.iter().enumerate() {
            let mut earlier = self.namespaces[..at].iter();
            if earlier.any(|other| other.path == namespace.path) {
                return Err(ConfigError::DuplicateNamespace {
                    path: namespace.path.clone(),
                });
            }
        }
        Ok(())
    }
}
