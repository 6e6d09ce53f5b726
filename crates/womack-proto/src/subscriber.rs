//! The types between a subscriber of Redis and whoever it subscribes for.
//!
//! Every request for a channel has a [`Generation`], and the confirmation names it, so that the
//! answer to an older request is told from that to the newest. Every connection to a server has an
//! [`Epoch`]: all that was confirmed over a connection is lost with it at once.

use std::{sync::Arc, time::Instant};

use crate::redis::Message;

/// The number of a request for a channel; later requests have greater ones.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Generation(u64);

impl Generation {
    /// The number of the request that follows this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The number of a connection to a server of Redis; no other of the process has the same.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Epoch(u32);

impl Epoch {
    /// The number that no connection has.
    pub const NONE: Self = Self(0);

    /// The epoch of the connection that is opened as the `number`th, from 1 on.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
}

/// A channel that is wanted of Redis, with its aliases: channels that are subscribed with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    /// The channel's name at Redis.
    pub channel: Arc<str>,
    /// Names that other publishers use for the same channel.
    pub aliases: Vec<Arc<str>>,
    /// The request that it is.
    pub generation: Generation,
}

impl Subscription {
    /// The channel and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        [&self.channel].into_iter().chain(&self.aliases)
    }
}

/// Names that stay subscribed as long as the server runs, whichever clients are there.
#[derive(Clone, Debug, Default)]
pub struct StaticSubscriptions {
    /// Channels.
    pub channels: Vec<Arc<str>>,
    /// Patterns, as `PSUBSCRIBE` takes them.
    pub patterns: Vec<Arc<str>>,
}

impl StaticSubscriptions {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }
}

/// Something that a subscriber has to tell. Events are in the order in which they happened.
#[derive(Debug)]
pub enum Event {
    /// A message was published.
    Message(Message),
    /// Redis has confirmed these requests: every message that is published on their channels from
    /// here on arrives.
    Live {
        /// The connection that brings the messages.
        epoch: Epoch,
        /// The channels, and the requests for them.
        channels: Vec<(Arc<str>, Generation)>,
    },
    /// Redis refuses to subscribe a channel, as an ACL may say. Nobody else is concerned.
    Refused {
        /// The channel.
        channel: Arc<str>,
        /// The request for it.
        generation: Generation,
        /// The error, as Redis wrote it.
        reason: String,
    },
    /// Redis refuses a static subscription; it is asked for again after a while.
    StaticRefused {
        /// The channel or the pattern.
        name: Arc<str>,
        /// The error, as Redis wrote it.
        reason: String,
    },
    /// Every static subscription is confirmed or refused.
    StaticLive,
    /// Every server that is needed is connected.
    Connected,
    /// Something was live and is not any more.
    Lost(Loss),
    /// A server cannot be reached or does not serve, for this reason. It is tried again.
    Failed(String),
}

/// The end of subscriptions that were live.
#[derive(Debug)]
pub struct Loss {
    /// Which ones.
    pub scope: LossScope,
    /// Everything that was published before this has been received.
    pub since: Instant,
    /// The cause, for people.
    pub reason: String,
}

/// The subscriptions that a loss ends.
#[derive(Debug)]
pub enum LossScope {
    /// Those that were confirmed over a connection, which is gone.
    Connection {
        /// The connection.
        epoch: Epoch,
        /// Whether the static subscriptions are among them.
        statics: bool,
    },
    /// Single channels, whose slots have moved away from a server that stays connected.
    Channels {
        /// The connection over which they were confirmed.
        epoch: Epoch,
        /// The channels.
        channels: Vec<Arc<str>>,
    },
}
