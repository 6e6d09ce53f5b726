//! The messages of each namespace.
//!
//! Namespaces are settings, so there are as many series as an operator has named. Channels are what
//! clients ask for, and are no label.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

type ByNamespace = Family<[(&'static str, String); 1], Counter>;

/// The messages of each namespace that had clients for them.
pub struct NamespaceMetrics {
    messages: ByNamespace,
    bytes: ByNamespace,
    dropped: ByNamespace,
}

/// The messages of one namespace.
#[derive(Clone, Debug, Default)]
pub struct NamespaceCounters {
    /// Messages that came, those that were dropped included.
    pub messages: Counter,
    /// The bytes of their payloads.
    pub bytes: Counter,
    /// Messages beyond `--max-messages-per-second`.
    pub dropped: Counter,
}

impl NamespaceMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let mut add = |name: &str, help: &str| {
            let family = ByNamespace::default();
            registry.register(name, help, family.clone());
            family
        };
        Self {
            messages: add(
                "namespace_messages",
                "Published messages for channels of a namespace that had subscribers",
            ),
            bytes: add(
                "namespace_message_bytes",
                "Bytes of the payloads of these messages",
            ),
            dropped: add(
                "namespace_messages_dropped",
                "Messages of a namespace beyond --max-messages-per-second",
            ),
        }
    }

    /// The counters of the namespace at `path`.
    pub fn of(&self, path: &str) -> NamespaceCounters {
        let of = |family: &ByNamespace| {
            let label = [("namespace", path.to_owned())];
            family.get_or_create(&label).clone()
        };
        NamespaceCounters {
            messages: of(&self.messages),
            bytes: of(&self.bytes),
            dropped: of(&self.dropped),
        }
    }
}
