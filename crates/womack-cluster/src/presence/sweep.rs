//! How far a record has been gone through.

use womack_engine::Count;

/// A record that is gone through, a page at a time.
pub(super) struct Sweep {
    pub(super) node: String,
    /// Clients that this count has met, or a later one, stay; `None` keeps nobody.
    pub(super) keep: Option<Count>,
    pub(super) cursor: u64,
    pub(super) gone: u64,
}

impl Sweep {
    /// Looks for the clients that `count` has not met.
    pub(super) const fn uncounted(node: String, count: Count) -> Self {
        Self {
            node,
            keep: Some(count),
            cursor: 0,
            gone: 0,
        }
    }

    /// Looks for all clients.
    pub(super) const fn all(node: String) -> Self {
        Self {
            node,
            keep: None,
            cursor: 0,
            gone: 0,
        }
    }
}
