//! State that the connections of a subscriber share, and the commands that they are handed.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use womack_proto::subscriber::{Epoch, StaticSubscriptions, Subscription};

use super::{
    backlog::Backlog, config::SubscriberConfig, metrics::SubscriberMetrics,
    pending::PendingSubscriptions,
};
use crate::connect::Backend;

/// An instruction to the subscriber, or to one of its connections.
pub(super) enum Command {
    Subscribe(Vec<Subscription>),
    GiveUp(Vec<Subscription>),
    /// Bring the static subscriptions; said to a node of a cluster only.
    SubscribeStatic(StaticSubscriptions),
}

/// Everything that the connections of a subscriber share.
pub(super) struct Context {
    pub(super) backend: Backend,
    pub(super) backlog: Backlog,
    /// The most that the payload of a message may have.
    pub(super) max_message_bytes: AtomicUsize,
    /// Connections that were made.
    connections: AtomicU32,
}

impl Context {
    pub(super) fn new(
        backend: Backend,
        config: &SubscriberConfig,
        metrics: SubscriberMetrics,
    ) -> Self {
        let ledger = config.ledger.clone();
        Self {
            backend,
            backlog: Backlog::new(config.max_backlog_bytes, metrics, ledger),
            max_message_bytes: config.max_message_bytes.into(),
            connections: AtomicU32::new(0),
        }
    }

    /// The epoch of a new connection.
    pub(super) fn next_epoch(&self) -> Epoch {
        Epoch::new(self.connections.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl PendingSubscriptions {
    /// Takes a command while there is no connection.
    pub(super) fn handle_command(&mut self, command: Command) {
        match command {
            Command::Subscribe(subscriptions) => self.add(subscriptions),
            Command::GiveUp(subscriptions) => {
                for subscription in subscriptions {
                    self.give_up(&subscription.channel);
                }
            }
            // Another node is found for it.
            Command::SubscribeStatic(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use womack_proto::subscriber::Generation;

    use super::*;

    #[test]
    fn what_is_given_up_without_a_connection_is_not_asked_for_over_the_next_one() {
        let mut pending = PendingSubscriptions::default();
        let subscription = |channel: &str| Subscription {
            channel: channel.into(),
            aliases: Vec::new(),
            generation: Generation::default(),
        };
        pending.handle_command(Command::Subscribe(vec![
            subscription("a"),
            subscription("b"),
        ]));
        pending.handle_command(Command::GiveUp(vec![subscription("a")]));
        assert_eq!(pending.take(9), [subscription("b")]);
    }
}
