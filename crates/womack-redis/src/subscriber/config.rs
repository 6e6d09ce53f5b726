//! Settings of a subscriber.

use womack_ledger::Ledger;
use womack_proto::subscriber::StaticSubscriptions;

/// Settings of a subscriber.
#[derive(Clone, Debug)]
pub struct SubscriberConfig {
    /// Names that stay subscribed whichever clients are there.
    pub statics: StaticSubscriptions,
    /// Bytes of messages that are kept until they are taken; beyond, messages wait at Redis.
    pub max_backlog_bytes: usize,
    /// Bytes of one message; longer ones are passed over as they come, and told.
    pub max_message_bytes: usize,
    /// Charged with the messages that are kept.
    pub ledger: Ledger,
}
