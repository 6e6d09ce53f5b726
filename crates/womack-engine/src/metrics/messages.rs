//! What publishers send.

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use womack_ledger::metrics::{By, add};
use womack_proto::publishers::PublicationError;

/// The families of publishers, as labels.
const FAMILIES: [&str; 4] = ["emitter", "python", "laravel", "juggernaut"];
/// Why a message is dropped, beside what is wrong with its form.
const REASONS: [&str; 4] = [TOO_LARGE, "too_many_channels", "bad_channel", RATE_LIMIT];
/// The message is over `--max-message-bytes`.
pub(super) const TOO_LARGE: &str = "too_large";
/// The namespace had more messages than `--max-messages-per-second`.
const RATE_LIMIT: &str = "rate_limit";

/// What is counted of published messages.
pub struct Messages {
    /// Messages that Redis delivered.
    pub received: Counter,
    /// Messages for which no client was left when they came.
    pub unwanted: Counter,
    rejected: By<Counter>,
    instructions: By<Counter>,
}

impl Messages {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let reasons = PublicationError::ALL.iter().map(|error| error.as_str());
        Self {
            received: add(
                registry,
                "messages_received",
                "Messages received from Redis",
            ),
            unwanted: add(
                registry,
                "messages_unwanted",
                "Messages that no client wanted any more",
            ),
            rejected: By::new(
                registry,
                "messages_rejected",
                "Published messages dropped by reason",
                "reason",
                reasons.chain(REASONS),
            ),
            instructions: By::new(
                registry,
                "publisher_messages",
                "Messages of other families of publishers that were understood",
                "family",
                FAMILIES,
            ),
        }
    }

    /// Counts a published message that is dropped.
    pub(super) fn rejected(&self, reason: &'static str) {
        self.rejected.of(reason).inc();
    }

    /// Counts published messages that are dropped, as their namespace has too many.
    pub(super) fn rate_limited(&self, count: u64) {
        self.rejected.of(RATE_LIMIT).inc_by(count);
    }

    /// Published messages dropped so far, for all reasons.
    pub fn rejected_so_far(&self) -> u64 {
        let reasons = PublicationError::ALL.iter().map(|error| error.as_str());
        let counts = reasons
            .chain(REASONS)
            .map(|reason| self.rejected.of(reason).get());
        counts.sum()
    }

    /// Counts a message of another family of publishers that is understood.
    pub(crate) fn instructed(&self, family: &'static str) {
        self.instructions.of(family).inc();
    }
}
