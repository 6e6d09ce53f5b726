//! Presence queries of clients that wait for the reporter's answer.

use womack_proto::NamespaceId;

use crate::{engine::TimeoutQueue, sid::ConnectionId};

/// A client's presence query, and the acknowledgement that answers it.
pub(crate) struct PendingQuery {
    pub(crate) connection: ConnectionId,
    /// Tells the connection from a later one in the same slot.
    pub(crate) secret: u64,
    pub(crate) namespace: NamespaceId,
    pub(crate) ack: u64,
    /// The answer if the members are not known, or not in time.
    pub(crate) unavailable: String,
}

/// All presence queries of a shard that wait.
pub(crate) type PresenceQueries = TimeoutQueue<PendingQuery>;
