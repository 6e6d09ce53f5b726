//! The commands that begin and end subscriptions.

/// A command that begins or ends a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// Begin it, of a channel.
    Subscribe,
    /// End it.
    Unsubscribe,
    /// Begin it, of a pattern.
    SubscribePattern,
    /// Begin it, of a channel that one shard of a cluster has for itself.
    SubscribeShard,
    /// End it.
    UnsubscribeShard,
}

impl Verb {
    /// The command.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::SubscribePattern => "PSUBSCRIBE",
            Self::SubscribeShard => "SSUBSCRIBE",
            Self::UnsubscribeShard => "SUNSUBSCRIBE",
        }
    }
}
