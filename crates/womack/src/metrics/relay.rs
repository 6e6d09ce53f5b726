//! What is counted of requests that are carried to other nodes and from them.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{add, by::By};

/// What became of requests: the home answered, was gone, took too long, or could not be reached,
/// or there was no room for the request.
const RESULTS: [&str; 5] = ["answered", "lost", "late", "unlinked", "refused"];

/// What is counted of requests for sessions of other nodes.
pub(crate) struct Relay {
    requests: By<Counter>,
    /// Requests that other nodes have brought.
    pub(crate) served: Counter,
    /// Requests that wait for other nodes.
    pub(crate) under_way: Gauge,
    /// WebSockets whose session is at another node.
    pub(crate) tunnels: Gauge,
    /// Bytes that were published for other nodes.
    pub(crate) sent_bytes: Counter,
    /// Messages of other nodes that could not be read.
    pub(crate) unreadable: Counter,
    /// 1 while the link stands.
    pub(crate) connected: Gauge,
}

impl Relay {
    pub(super) fn new(registry: &mut Registry) -> Self {
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
            unreadable: add(
                registry,
                "relay_unreadable",
                "Messages of other nodes that could not be read",
            ),
            connected: add(
                registry,
                "relay_connected",
                "Whether the link to other nodes stands",
            ),
        }
    }

    /// Counts a polling request that was to be carried.
    pub(crate) fn requested(&self, result: &'static str) {
        self.requests.of(result).inc();
    }
}
