//! Sessions that come and go, and what clients ask for.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use womack_ledger::metrics::{By, add};
use womack_proto::CloseReason;

/// How a client is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
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
    /// Every transport.
    pub const ALL: [Self; 4] = [Self::Polling, Self::WebSocket, Self::Plain, Self::Events];

    /// The transport as metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::Plain => "ws",
            Self::Events => "sse",
        }
    }
}

/// What is counted of clients.
pub struct Clients {
    connections: By<Gauge>,
    opened: By<Counter>,
    closed: By<Counter>,
    /// Events that clients sent.
    pub events: Counter,
    /// Memberships of clients in channels.
    pub subscriptions: Gauge,
    upgrades: Counter,
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
            events: add(registry, "events", "Events received from clients"),
            subscriptions: add(
                registry,
                "subscriptions",
                "Memberships of clients in channels",
            ),
            upgrades: add(registry, "upgrades", "Sessions upgraded to WebSocket"),
        }
    }

    /// Counts a session that opens.
    pub fn opened(&self, transport: Transport) {
        self.opened.of(transport.as_str()).inc();
        self.connections.of(transport.as_str()).inc();
    }

    /// Counts a session that ends.
    pub fn closed(&self, transport: Transport, reason: CloseReason) {
        self.connections.of(transport.as_str()).dec();
        self.closed.of(reason.as_str()).inc();
    }

    /// Counts a session that changes from polling to WebSocket.
    pub fn upgraded(&self) {
        self.connections.of(Transport::Polling.as_str()).dec();
        self.connections.of(Transport::WebSocket.as_str()).inc();
        self.upgrades.inc();
    }

    /// Open sessions of one transport.
    pub fn open(&self, transport: Transport) -> i64 {
        self.connections.of(transport.as_str()).get()
    }

    /// Sessions opened so far, of all transports.
    pub fn opened_so_far(&self) -> u64 {
        let opened = Transport::ALL.map(|transport| self.opened.of(transport.as_str()).get());
        opened.iter().sum()
    }

    /// Sessions closed so far for one reason.
    pub fn closed_so_far(&self, reason: CloseReason) -> u64 {
        self.closed.of(reason.as_str()).get()
    }
}
