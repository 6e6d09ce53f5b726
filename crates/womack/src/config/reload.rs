//! What of a configuration may change while the server runs.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Config, Limits};

impl Config {
    /// Takes from `new` what can be changed in a running server: the limits, with few exceptions,
    /// and the key for publishing. Returns the names of what else has changed and is as it was.
    pub(crate) fn take_over(&self, new: &Self) -> Vec<String> {
        let (old_limits, limits) = (**self.limits.load(), **new.limits.load());
        let mut kept = Vec::new();
        let taken = Limits {
            // Decoders and queues have these sizes since the start.
            max_payload_bytes: old_limits.max_payload_bytes,
            max_waiting_events: old_limits.max_waiting_events,
            // Whether messages are counted at all is in the form of what waits.
            max_client_queue_messages: match old_limits.max_client_queue_messages {
                0 => 0,
                old if limits.max_client_queue_messages == 0 => old,
                _ => limits.max_client_queue_messages,
            },
            ..limits
        };
        kept.extend(differences(&taken, &limits));
        self.limits.store(taken);
        let (old_key, key) = (self.publish_key.load(), new.publish_key.load());
        match (&**old_key, &**key) {
            (Some(_), Some(key)) => self.publish_key.store(Some(key.clone())),
            (None, None) => {}
            _ => kept.push("publish-key".to_owned()),
        }
        kept.extend(differences(self, new));
        kept
    }
}

/// The names of the fields that two structs have otherwise.
fn differences<T: Serialize>(one: &T, other: &T) -> Vec<String> {
    let (one, other) = (fields(one), fields(other));
    let differ = one
        .into_iter()
        .filter(|(name, value)| other.get(name) != Some(value));
    differ.map(|(name, _)| name).collect()
}

fn fields(of: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        // No field has what JSON has not.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use womack_engine::SlowClient;

    use super::*;
    use crate::config::{Nodes, PerNamespace};

    #[test]
    fn limits_and_keys_are_taken_and_what_is_not_is_named() {
        let key = |key: &str| Some(key.to_owned()).into();
        let running = Config {
            publish_key: key("old"),
            ..Config::default()
        };
        let new = Config {
            publish_key: key("new"),
            limits: Limits {
                max_channels_per_client: 7,
                max_payload_bytes: 70,
                ..Limits::default()
            }
            .into(),
            port: 9,
            debug: true,
            drain: Duration::from_secs(99),
            ..Config::default()
        };
        let kept = running.take_over(&new);
        assert_eq!(kept, ["max-payload", "drain-seconds", "port"]);
        let limits = running.limits.load();
        assert_eq!(limits.max_channels_per_client, 7);
        assert_eq!(
            limits.max_payload_bytes,
            Limits::default().max_payload_bytes
        );
        assert_eq!(running.publish_key.load().as_deref(), Some("new"));
        assert_eq!(running.take_over(&Config::default()), ["publish-key"]);
        assert_eq!(running.publish_key.load().as_deref(), Some("new"));
    }

    #[test]
    fn a_changed_secret_is_named_and_not_shown() {
        let new = Config {
            nodes: Nodes {
                relay_secret: Some("hush".to_owned().into()),
                ..Nodes::default()
            },
            ..Config::default()
        };
        assert_eq!(Config::default().take_over(&new), ["relay-secret"]);
        assert!(!format!("{new:?}").contains("hush"));
    }

    #[test]
    fn values_of_namespaces_are_named_by_their_flag() {
        let new = Config {
            coalesce: PerNamespace {
                overrides: [("/a".to_owned(), Duration::from_millis(5))].into(),
                ..PerNamespace::default()
            },
            slow_client: SlowClient::Latest.into(),
            max_messages_per_second: 5.into(),
            ..Config::default()
        };
        let kept = Config::default().take_over(&new);
        assert_eq!(
            kept,
            ["coalesce-ms", "max-messages-per-second", "slow-client"]
        );
    }
}
