//! One master of a cluster: the task that serves it, and what the task tells the cluster.

use std::sync::Arc;

use tokio::{
    select,
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
};
use womack_proto::subscriber::{Event, Subscription};

use super::{
    Command, Context, connection::Connection, greeting::Greeted, pending::PendingSubscriptions,
};
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
    number: NodeNumber,
    notices: UnboundedSender<Notice>,
}

impl Redirect {
    pub(super) fn send(&self, subscriptions: Vec<Subscription>) {
        let notice = Notice::Elsewhere(self.number, subscriptions);
        // The cluster outlives its connections.
        self.notices.send(notice).ok();
    }
}

/// Serves one node until it is lost, or has no slots any more.
pub(super) async fn serve(
    context: Arc<Context>,
    address: Address,
    number: NodeNumber,
    mut commands: UnboundedReceiver<Command>,
    notices: UnboundedSender<Notice>,
) {
    let opened = select! {
        opened = Greeted::open(&context, &address) => opened,
        // Nothing is said to a node before it is up, so this is the end of its place in the cluster.
        _ = commands.recv() => return,
    };
    let (reason, mut unfinished) = match opened {
        Ok(greeted) => {
            let redirect = Redirect {
                number,
                notices: notices.clone(),
            };
            let pending = PendingSubscriptions::default();
            let mut connection =
                Connection::begin(greeted, context.clone(), pending, Some(redirect));
            // The notices are read as long as the cluster is there.
            let up = Notice::Up {
                address: address.clone(),
                number,
            };
            notices.send(up).ok();
            let dead = connection.serve(&mut commands).await;
            let (loss, unfinished) = connection.end(dead);
            let reason = loss.reason.clone();
            context.backlog.add_one(Event::Lost(loss));
            (reason, unfinished)
        }
        Err(error) => (error.to_string(), PendingSubscriptions::default()),
    };
    while let Ok(command) = commands.try_recv() {
        unfinished.handle_command(command);
    }
    let notice = Notice::Down {
        address,
        number,
        reason,
        unfinished,
    };
    notices.send(notice).ok();
}
