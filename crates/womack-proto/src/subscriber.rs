//! The types between a subscriber of Redis and whoever it subscribes for.
//!
//! Every request for a channel has a [`Generation`], and the confirmation names it, so that the
//! answer to an older request is told from that to the newest. Every connection to a server has an
//! [`Epoch`]: all that was confirmed over a connection is lost with it at once.

use std::{ops::Range, sync::Arc, time::Instant};

use bytes::Bytes;

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
    /// A message was published that is longer than messages may be, and is not kept.
    TooLong {
        /// The channel that it was published on.
        channel: String,
        /// The length of its payload, in bytes.
        bytes: usize,
    },
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
    /// All messages that were published before `at`, and that this connection brings, are earlier
    /// events. It comes when the connection stands, and about once a second.
    ReceivedTo {
        /// The connection.
        epoch: Epoch,
        /// The time.
        at: Instant,
    },
    /// Something was live and is not any more.
    Lost(Loss),
    /// A server cannot be reached or does not serve, for this reason. It is tried again.
    Failed(String),
}

/// A published message, as it came from Redis.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    bytes: Bytes,
    channel: Range<u32>,
    payload: Range<u32>,
    by_pattern: bool,
}

impl Message {
    /// A message whose channel and payload are these parts of `bytes`, which are shared and not
    /// copied. A part that is not within them is empty.
    pub fn new(
        bytes: Bytes,
        channel: Range<usize>,
        payload: Range<usize>,
        by_pattern: bool,
    ) -> Self {
        Self {
            channel: narrow(channel),
            payload: narrow(payload),
            by_pattern,
            bytes,
        }
    }

    /// The Redis channel; empty if it is no text, which no channel that was asked for is.
    pub fn channel(&self) -> &str {
        str::from_utf8(self.part(&self.channel)).unwrap_or_default()
    }

    /// What was published.
    pub fn payload(&self) -> &[u8] {
        self.part(&self.payload)
    }

    /// Whether it came because a pattern matched the channel.
    pub const fn is_by_pattern(&self) -> bool {
        self.by_pattern
    }

    /// How many bytes it took on the wire.
    pub const fn wire_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn part(&self, range: &Range<u32>) -> &[u8] {
        let part = self.bytes.get(range.start as usize..range.end as usize);
        part.unwrap_or_default()
    }
}

/// A range of half the size: a message is far shorter than 4 GiB, since strings at Redis have
/// 512 MiB at most.
fn narrow(range: Range<usize>) -> Range<u32> {
    let narrow = |at| u32::try_from(at).unwrap_or(u32::MAX);
    narrow(range.start)..narrow(range.end)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_message_lie_within_its_bytes() {
        let bytes = Bytes::from_static(b"ab{}");
        let message = Message::new(bytes.clone(), 0..2, 2..4, true);
        assert_eq!((message.channel(), message.payload()), ("ab", &b"{}"[..]));
        assert!(message.is_by_pattern());
        assert_eq!(message.wire_bytes(), 4);
        let outside = Message::new(bytes, 0..5, usize::MAX..usize::MAX, false);
        assert_eq!((outside.channel(), outside.payload()), ("", &b""[..]));
    }
}
