//! Notices from the tasks of a cluster.

use tokio::sync::mpsc::UnboundedSender;
use womack_proto::subscriber::Subscription;

use super::pending::PendingSubscriptions;
use crate::connect::{Address, Slots, Unreachable};

/// The number of a connection to a node, which tells it from an earlier one at the same address.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct NodeNumber(u64);

impl NodeNumber {
    /// The number of the connection after this one.
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Something that a task of the cluster has to tell.
pub(super) enum Notice {
    /// The answer to how the slots lie.
    Slots(Result<Slots, Unreachable>),
    /// A node is connected.
    Up {
        address: Address,
        number: NodeNumber,
    },
    /// A node's task has ended, and did not do what is unfinished.
    Down {
        address: Address,
        number: NodeNumber,
        reason: String,
        unfinished: PendingSubscriptions,
    },
    /// Subscriptions that the node of this number cannot have, so that another has to.
    Elsewhere(NodeNumber, Vec<Subscription>),
}

/// The way back for subscriptions that a node cannot have.
pub(super) struct Redirect {
    pub(super) number: NodeNumber,
    pub(super) notices: UnboundedSender<Notice>,
}

impl Redirect {
    pub(super) fn send(&self, subscriptions: Vec<Subscription>) {
        let notice = Notice::Elsewhere(self.number, subscriptions);
        // The cluster outlives its connections.
        self.notices.send(notice).ok();
    }
}
