//! Sessions that come and go, and what clients ask for.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use womack_proto::CloseReason;

use womack_ledger::metrics::{By, add};

/// Why requests are refused, at zero from the start; others appear when they happen.
const REFUSALS: [&str; 8] = [
    "bad_method",
    "bad_request",
    "forbidden",
    "node_gone",
    "proxy_protocol",
    "unknown_sid",
    "unknown_transport",
    "unsupported_version",
];

/// How a client is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    /// HTTP long-polling.
    Polling,
    /// A WebSocket that carries Engine.IO.
    WebSocket,
    /// A WebSocket without Engine.IO.
    Plain,
    /// Server-sent events.
    Events,
}

impl Transport {
    pub(crate) const ALL: [Self; 4] = [Self::Polling, Self::WebSocket, Self::Plain, Self::Events];

    /// The transport as metrics name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::Plain => "ws",
            Self::Events => "sse",
        }
    }
}

/// What is counted of clients.
pub(crate) struct Clients {
    connections: By<Gauge>,
    opened: By<Counter>,
    closed: By<Counter>,
    refused: By<Counter>,
    /// Events that clients sent.
    pub(crate) events: Counter,
    /// Memberships of clients in channels.
    pub(crate) subscriptions: Gauge,
    upgrades: Counter,
    /// Requests that had to be carried to the shard of their session.
    pub(crate) forwarded: Counter,
}

impl Clients {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let transports = || Transport::ALL.map(Transport::as_str);
        let reasons = CloseReason::ALL.iter().map(|reason| reason.as_str());
        Self {
            connections: By::new(
                registry,
                "connections",
                "Open sessions by transport",
                "transport",
                transports(),
            ),
            opened: By::new(
                registry,
                "connections_opened",
                "Sessions opened by first transport",
                "transport",
                transports(),
            ),
            closed: By::new(
                registry,
                "connections_closed",
                "Sessions closed by reason",
                "reason",
                reasons,
            ),
            refused: By::new(
                registry,
                "requests_refused",
                "HTTP requests refused by reason",
                "reason",
                REFUSALS,
            ),
            events: add(registry, "events", "Events received from clients"),
            subscriptions: add(
                registry,
                "subscriptions",
                "Memberships of clients in channels",
            ),
            upgrades: add(registry, "upgrades", "Sessions upgraded to WebSocket"),
            forwarded: add(
                registry,
                "requests_forwarded",
                "Requests carried to the shard of their session",
            ),
        }
    }

    /// Counts a session that opens.
    pub(crate) fn opened(&self, transport: Transport) {
        self.opened.of(transport.as_str()).inc();
        self.connections.of(transport.as_str()).inc();
    }

    /// Counts a session that ends.
    pub(crate) fn closed(&self, transport: Transport, reason: CloseReason) {
        self.connections.of(transport.as_str()).dec();
        self.closed.of(reason.as_str()).inc();
    }

    /// Counts a session that changes from polling to WebSocket.
    pub(crate) fn upgraded(&self) {
        self.connections.of(Transport::Polling.as_str()).dec();
        self.connections.of(Transport::WebSocket.as_str()).inc();
        self.upgrades.inc();
    }

    /// Counts an HTTP request that is refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.of(reason).inc();
    }

    /// Open sessions of one transport.
    pub(crate) fn open(&self, transport: Transport) -> i64 {
        self.connections.of(transport.as_str()).get()
    }

    /// Sessions opened so far, of all transports.
    pub(crate) fn opened_so_far(&self) -> u64 {
        let opened = Transport::ALL.map(|transport| self.opened.of(transport.as_str()).get());
        opened.iter().sum()
    }

    /// Sessions closed so far for one reason.
    pub(crate) fn closed_so_far(&self, reason: CloseReason) -> u64 {
        self.closed.of(reason.as_str()).get()
    }
}
