//! HTTP requests, and what operators are told.

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use womack_ledger::metrics::{By, add};
use womack_proto::SessionError;

use crate::near::Difference;

/// The refusal of a connection that does not begin with the header of its proxy. Refusals of
/// sessions have the labels of [`SessionError`].
const PROXY_PROTOCOL: &str = "proxy_protocol";

/// The counters of HTTP requests.
pub(crate) struct Http {
    refused: By<Counter>,
    /// Requests that had to be carried to the shard of their session.
    pub(crate) forwarded: Counter,
    publish_requests: By<Counter>,
    misaddressed: By<Counter>,
}

impl Http {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let errors = SessionError::ALL.iter();
        let refusals = errors.filter_map(|error| error.metric_label());
        Self {
            refused: By::new(
                registry,
                "requests_refused",
                "HTTP requests refused by reason",
                "reason",
                // At zero from the start; others appear when they happen.
                refusals.chain([PROXY_PROTOCOL]),
            ),
            forwarded: add(
                registry,
                "requests_forwarded",
                "Requests carried to the shard of their session",
            ),
            publish_requests: By::new(
                registry,
                "publish_requests",
                "Requests to publish by HTTP by their result",
                "result",
                ["ok", "unauthorized"],
            ),
            misaddressed: By::new(
                registry,
                "messages_misaddressed",
                "Messages that nobody got, on nearly a channel that clients are in",
                "difference",
                Difference::ALL.map(Difference::as_str),
            ),
        }
    }

    /// Counts an HTTP request that is refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.of(reason).inc();
    }

    /// Counts a request to publish by HTTP.
    pub(crate) fn publish_requested(&self, result: &'static str) {
        self.publish_requests.of(result).inc();
    }

    /// Counts a message that nobody got because of its channel's name.
    pub(crate) fn misaddressed(&self, difference: Difference) {
        self.misaddressed.of(difference.as_str()).inc();
    }
}
