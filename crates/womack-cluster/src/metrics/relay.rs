//! What is counted of requests that are carried to other nodes and from them.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use womack_ledger::metrics::{By, add};
use womack_proto::relay::Unreadable;

/// The outcomes of requests: the owner answered, was gone, took too long, or could not be reached,
/// or there was no room for the request.
const RESULTS: [&str; 5] = ["answered", "lost", "late", "unlinked", "refused"];

/// Why messages are skipped: a later version wrote them, a kind is not known, they are broken or no
/// node's, their sender has said since that it has another link, or their MAC is not wanted,
/// missing, wrong or used before.
const SKIPPED: [&str; 8] = [
    "version",
    "kind",
    "malformed",
    "outdated",
    "unexpected_mac",
    "missing_mac",
    "wrong_mac",
    "repeated",
];

/// What is counted of requests for sessions of other nodes.
#[derive(Clone)]
pub struct RelayMetrics {
    requests: By<Counter>,
    /// Requests that other nodes have brought.
    pub(crate) served: Counter,
    /// Requests that wait for other nodes.
    pub(crate) under_way: Gauge,
    /// WebSockets whose session is at another node.
    pub(crate) tunnels: Gauge,
    /// Bytes that were published for other nodes.
    pub(crate) sent_bytes: Counter,
    /// Messages of other nodes that were skipped.
    unreadable: By<Counter>,
    /// 1 while the link stands.
    pub(crate) connected: Gauge,
}

impl RelayMetrics {
    /// Registers the counters, at zero.
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            requests: By::new(
                registry,
                "relay_requests",
                "Polling requests for sessions of other nodes by result",
                "result",
                RESULTS,
            ),
            served: add(registry, "relay_served", "Requests brought by other nodes"),
            under_way: add(
                registry,
                "relay_under_way",
                "Polling requests that wait for other nodes",
            ),
            tunnels: add(
                registry,
                "relay_tunnels",
                "WebSockets whose session is at another node",
            ),
            sent_bytes: add(
                registry,
                "relay_sent_bytes",
                "Bytes published for other nodes",
            ),
            unreadable: By::new(
                registry,
                "relay_unreadable",
                "Messages of other nodes that were skipped, by reason",
                "reason",
                SKIPPED,
            ),
            connected: add(
                registry,
                "relay_connected",
                "Whether the link to other nodes stands",
            ),
        }
    }

    /// Counts a message that cannot be read.
    pub(crate) fn skipped(&self, why: Unreadable) {
        let reason = match why {
            Unreadable::Version(_) => "version",
            Unreadable::Kind(_) => "kind",
            Unreadable::Malformed => "malformed",
            Unreadable::UnexpectedMac => "unexpected_mac",
            Unreadable::MissingMac => "missing_mac",
            Unreadable::WrongMac => "wrong_mac",
            Unreadable::Repeated => "repeated",
        };
        self.unreadable.of(reason).inc();
    }

    /// Counts a message of a link that has ended since.
    pub(crate) fn outdated(&self) {
        self.unreadable.of("outdated").inc();
    }

    /// Counts a polling request that was to be carried.
    pub(crate) fn requested(&self, result: &'static str) {
        self.requests.of(result).inc();
    }
}
