//! Checks of settings: values and combinations that a server cannot run with.

use std::{
    fmt::Debug,
    ops::{Bound, RangeBounds},
    time::Duration,
};

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

/// Fails unless `value`, which is that of `setting`, is in `range`. The error is made of the range
/// itself, so that it cannot tell another.
pub(super) fn ensure_in<T: Debug + PartialOrd>(
    setting: &'static str,
    value: T,
    range: impl RangeBounds<T>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let violation = match (range.start_bound(), range.end_bound()) {
        (Bound::Included(least), Bound::Included(most)) => {
            format!("not between {least:?} and {most:?}")
        }
        (Bound::Included(least), _) => format!("below {least:?}"),
        (_, Bound::Included(most)) => format!("above {most:?}"),
        _ => "out of range".to_owned(),
    };
    Err(ConfigError::OutOfRange {
        setting,
        value: format!("{value:?}"),
        violation,
    })
}

impl Config {
    /// Finds the first setting that is invalid, alone or beside the others.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ensure_in("shards", self.shards, 1..=MAX_SHARDS)?;
        for (setting, time) in [
            ("ping-interval", self.ping_interval),
            ("ping-timeout", self.ping_timeout),
            ("handshake-seconds", self.handshake_timeout),
            ("keep-alive-seconds", self.keep_alive),
        ] {
            ensure_in(setting, time, MIN_TIME..)?;
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
        ensure_in(
            "node-timeout-seconds",
            self.node_timeout,
            MIN_NODE_TIMEOUT..,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_told_with_its_bounds() {
        let told = |checked: Result<(), ConfigError>| checked.unwrap_err().to_string();
        let both = ensure_in("shards", 300, 1..=MAX_SHARDS);
        assert_eq!(told(both), "shards is 300, not between 1 and 128");
        let below = ensure_in("ping-interval", Duration::from_millis(5), MIN_TIME..);
        assert_eq!(told(below), "ping-interval is 5ms, below 10ms");
        let above = ensure_in("max-payload", 7, ..=6);
        assert_eq!(told(above), "max-payload is 7, above 6");
        assert!(ensure_in("shards", 1, 1..=MAX_SHARDS).is_ok());
    }
}
