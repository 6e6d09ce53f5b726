//! Presence queries of clients that wait for the reporter's answer.

use womack_ledger::{Charge, Ledger};
use womack_proto::{Channel, NamespaceId};

use crate::{sid::ConnectionRef, timeout_queue::TimeoutQueue};

/// A client's presence query, and the acknowledgement that answers it.
pub(crate) struct PendingQuery {
    pub(crate) client: ConnectionRef,
    pub(crate) namespace: NamespaceId,
    pub(crate) ack: u64,
    /// The answer if the members are not known, or not in time.
    pub(crate) unavailable: String,
    _charge: Charge,
}

impl PendingQuery {
    /// A query for `channel`, charged to `ledger`.
    pub(crate) fn new(
        client: ConnectionRef,
        namespace: NamespaceId,
        ack: u64,
        unavailable: String,
        channel: &Channel,
        ledger: &Ledger,
    ) -> Self {
        // The name goes with the question to the reporter.
        let bytes = 2 * size_of::<Self>() + unavailable.len() + channel.as_str().len();
        Self {
            client,
            namespace,
            ack,
            unavailable,
            _charge: ledger.hold(bytes),
        }
    }
}

/// All presence queries of a shard that wait.
pub(crate) type PresenceQueries = TimeoutQueue<PendingQuery>;
