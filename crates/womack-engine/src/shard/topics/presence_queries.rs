//! Presence queries of clients that wait for the reporter's answer.

use womack_proto::NamespaceId;

use crate::{sid::ConnectionRef, timeout_queue::TimeoutQueue};

/// A client's presence query, and the acknowledgement that answers it.
pub(crate) struct PendingQuery {
    pub(crate) client: ConnectionRef,
    pub(crate) namespace: NamespaceId,
    pub(crate) ack: u64,
    /// The answer if the members are not known, or not in time.
    pub(crate) unavailable: String,
}

/// All presence queries of a shard that wait.
pub(crate) type PresenceQueries = TimeoutQueue<PendingQuery>;
