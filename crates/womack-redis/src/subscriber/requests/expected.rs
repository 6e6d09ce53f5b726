//! The replies that are due.

use std::{sync::Arc, time::Instant};

use womack_proto::subscriber::Subscription;

use super::super::batch::Batch;
use crate::resp::Verb;

/// A reply that is due.
pub(super) enum Expected {
    Pong(Instant),
    Identity(Instant),
    Batch(Batch),
    Static(Verb, Arc<str>),
    Unsubscribed { left: usize, end: End },
    ShardUnsubscribed { left: usize, end: End },
}

/// Subscriptions that end by one command.
pub(super) struct End {
    pub(super) verb: Verb,
    /// Of the command, if it is for one slot.
    pub(super) slot: Option<u16>,
    pub(super) names: Vec<Arc<str>>,
    pub(super) then: Then,
}

/// Consequences of the end of subscriptions.
#[derive(Default)]
pub(super) struct Then {
    /// Channels that are lost with it, and until when their messages were received.
    pub(super) lost: Option<(Vec<Arc<str>>, Instant)>,
    /// Subscriptions that another node has to take after it.
    pub(super) elsewhere: Vec<Subscription>,
}

/// An answer to a question of the driver's.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::subscriber) enum Answer {
    /// To the ping that was sent then.
    Pong(Instant),
    /// To the question for the server's identity that was sent then: refused, for this reason.
    IdentityRefused(Instant, String),
}

/// A refusal that ends the connection, for this reason.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::subscriber) struct Fatal(pub(in crate::subscriber) String);

impl Then {
    /// Nobody wants the channel any more. False if it was not among those for elsewhere.
    pub(super) fn give_up(&mut self, channel: &str) -> bool {
        let before = self.elsewhere.len();
        self.elsewhere.retain(|other| *other.channel != *channel);
        before > self.elsewhere.len()
    }
}
