//! The names of everything that the reporter has at Redis.
//!
//! | key | type | what it holds |
//! |---|---|---|
//! | `KEY:nodes` | set | the nodes that have a record |
//! | `KEY:nodes:NODE` | string | a sign of life, which expires |
//! | `KEY:nodes:NODE:lock` | string | whoever set it may end or begin the record; expires |
//! | `KEY:nodes:NODE:sessions` | hash | the record: `SESSION,NAMESPACE,CHANNEL` → `COUNT,META` |
//! | `KEY:nodes:NODE:in:NAMESPACE,CHANNEL` | hash | for presence: `SESSION` → `META` |

use std::time::Duration;

/// How long a lock holds after its owner has last done something.
pub(super) const LOCK: Duration = Duration::from_secs(10);

/// The names of everything at Redis.
#[derive(Clone)]
pub(super) struct Keys {
    key: String,
    /// This node.
    pub(super) node: String,
}

impl Keys {
    pub(super) fn new(key: &str, node: u32) -> Self {
        Self {
            key: key.to_owned(),
            node: format!("{node:08x}"),
        }
    }

    pub(super) fn nodes(&self) -> String {
        format!("{}:nodes", self.key)
    }

    pub(super) fn alive(&self, node: &str) -> String {
        format!("{}:nodes:{node}", self.key)
    }

    pub(super) fn lock(&self, node: &str) -> String {
        format!("{}:nodes:{node}:lock", self.key)
    }

    pub(super) fn sessions(&self, node: &str) -> String {
        format!("{}:nodes:{node}:sessions", self.key)
    }

    pub(super) fn members(&self, node: &str, namespace: &str, channel: &str) -> String {
        format!("{}:nodes:{node}:in:{namespace},{channel}", self.key)
    }

    pub(super) fn channel(&self, kind: &str) -> String {
        format!("{}:{kind}", self.key)
    }
}

/// A time as Redis takes it.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
