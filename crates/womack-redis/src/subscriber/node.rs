//! One master of a cluster: the task that serves it.

use std::sync::Arc;

use tokio::{
    select,
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
};
use womack_proto::subscriber::Event;

use super::{
    connection::Connection,
    context::{Command, Context},
    greeting::Greeted,
    notice::{NodeNumber, Notice, Redirect},
    pending::PendingSubscriptions,
};
use crate::connect::Address;

/// Serves one node until it is lost, or has no slots any more.
pub(super) async fn serve(
    context: Arc<Context>,
    address: Address,
    number: NodeNumber,
    mut commands: UnboundedReceiver<Command>,
    notices: UnboundedSender<Notice>,
) {
    let opened = select! {
        biased;
        // Nothing is said to a node before it is up, so this is the end of its place in the
        // cluster.
        _ = commands.recv() => return,
        opened = Greeted::open(&context, &address) => opened,
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
