//! What the server counts, and its text for Prometheus.
//!
//! Counters are shared by all threads, but the delivery path adds to them once per round, not
//! once per client, so that they cost nothing there.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use womack_proto::{CloseReason, publishers::PublicationError};

/// The families of publishers, as labels.
const FAMILIES: [&str; 4] = ["emitter", "python", "laravel", "juggernaut"];

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
    const ALL: &[Self] = &[Self::Polling, Self::WebSocket, Self::Plain, Self::Events];

    const fn label(self) -> TransportLabel {
        let transport = match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::Plain => "ws",
            Self::Events => "sse",
        };
        TransportLabel { transport }
    }
}

/// One label: the transport of a connection.
#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
pub(crate) struct TransportLabel {
    transport: &'static str,
}

/// One label: why something happened.
#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    reason: &'static str,
}

/// One label: which of the limits in the configuration was reached.
#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
pub(crate) struct LimitLabel {
    limit: &'static str,
}

/// One label: a kind of server event.
#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
pub(crate) struct EventLabel {
    event: &'static str,
}

/// One label: which queue between threads.
#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
pub(crate) struct QueueLabel {
    queue: String,
}

/// One label: what a request came to.
#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
pub(crate) struct ResultLabel {
    result: &'static str,
}

/// One label: which family of publishers.
#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
pub(crate) struct FamilyLabel {
    family: &'static str,
}

/// Every counter of the process.
pub(crate) struct Metrics {
    registry: Registry,
    connections: Family<TransportLabel, Gauge>,
    opened: Family<TransportLabel, Counter>,
    closed: Family<ReasonLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,
    limits: Family<LimitLabel, Counter>,
    rejected: Family<ReasonLabel, Counter>,
    instructions: Family<FamilyLabel, Counter>,
    publish_requests: Family<ResultLabel, Counter>,
    queue_depth: Family<QueueLabel, Gauge>,
    /// Events that clients sent.
    pub(crate) events: Counter,
    /// Memberships of clients in channels.
    pub(crate) subscriptions: Gauge,
    /// Changes from polling to WebSocket.
    pub(crate) upgrades: Counter,
    /// Requests that had to be carried to the shard of their session.
    pub(crate) forwarded: Counter,
    /// Messages that Redis delivered.
    pub(crate) messages: Counter,
    /// Messages for which no client was left when they came.
    pub(crate) unwanted: Counter,
    /// Messages times the clients that they were queued for.
    pub(crate) deliveries: Counter,
    /// Events with attachments for clients that know none.
    pub(crate) undeliverable: Counter,
    /// Bytes written to WebSockets and into polling answers.
    pub(crate) sent_bytes: Counter,
    /// Writes to WebSockets; deliveries per write tell how well bursts merge.
    pub(crate) writes: Counter,
    /// Bytes that wait for clients which cannot take them at once.
    pub(crate) client_queue_bytes: Gauge,
    /// From the arrival of a message at the router to the end of the round that wrote it.
    pub(crate) delivery_seconds: Histogram,
    /// 1 while the subscription link to Redis stands.
    pub(crate) redis_connected: Gauge,
    /// Times that link was lost. What was published meanwhile was not received.
    pub(crate) redis_gaps: Counter,
    /// Whole seconds without the link, all gaps together.
    pub(crate) redis_gap_seconds: Counter<f64, AtomicU64>,
    /// Redis channels that are subscribed, or asked for.
    pub(crate) redis_channels: Gauge,
    /// Times the router had to wait because a shard's queue was full.
    pub(crate) shard_queue_waits: Counter,
    server_events: Family<EventLabel, Counter>,
    /// Server events that gave way to later ones while Redis was not there.
    pub(crate) server_events_dropped: Counter,
    /// Memberships whose end nobody reported: of nodes that died, or found by counting.
    pub(crate) ghosts: Counter,
}

impl Metrics {
    /// Creates all counters at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("womack");
        let metrics = Self {
            connections: Family::default(),
            opened: Family::default(),
            closed: Family::default(),
            refused: Family::default(),
            limits: Family::default(),
            rejected: Family::default(),
            instructions: Family::default(),
            publish_requests: Family::default(),
            queue_depth: Family::default(),
            events: Counter::default(),
            subscriptions: Gauge::default(),
            upgrades: Counter::default(),
            forwarded: Counter::default(),
            messages: Counter::default(),
            unwanted: Counter::default(),
            deliveries: Counter::default(),
            undeliverable: Counter::default(),
            sent_bytes: Counter::default(),
            writes: Counter::default(),
            client_queue_bytes: Gauge::default(),
            delivery_seconds: Histogram::new(exponential_buckets(50e-6, 2.0, 18)),
            redis_connected: Gauge::default(),
            redis_gaps: Counter::default(),
            redis_gap_seconds: Counter::default(),
            redis_channels: Gauge::default(),
            shard_queue_waits: Counter::default(),
            server_events: Family::default(),
            server_events_dropped: Counter::default(),
            ghosts: Counter::default(),
            registry: Registry::default(),
        };
        let m = &metrics;
        registry.register(
            "connections",
            "Open sessions by transport",
            m.connections.clone(),
        );
        registry.register(
            "connections_opened",
            "Sessions opened by first transport",
            m.opened.clone(),
        );
        registry.register(
            "connections_closed",
            "Sessions closed by reason",
            m.closed.clone(),
        );
        registry.register(
            "requests_refused",
            "HTTP requests refused by reason",
            m.refused.clone(),
        );
        registry.register(
            "limit_reached",
            "Times a configured limit was reached",
            m.limits.clone(),
        );
        registry.register(
            "messages_rejected",
            "Published messages dropped by reason",
            m.rejected.clone(),
        );
        registry.register(
            "publisher_messages",
            "Messages of other families of publishers that were understood",
            m.instructions.clone(),
        );
        registry.register(
            "publish_requests",
            "Requests to publish by HTTP by their result",
            m.publish_requests.clone(),
        );
        registry.register(
            "queue_depth",
            "Values waiting between threads",
            m.queue_depth.clone(),
        );
        registry.register("events", "Events received from clients", m.events.clone());
        registry.register(
            "subscriptions",
            "Memberships of clients in channels",
            m.subscriptions.clone(),
        );
        registry.register(
            "upgrades",
            "Sessions upgraded to WebSocket",
            m.upgrades.clone(),
        );
        registry.register(
            "requests_forwarded",
            "Requests carried to the shard of their session",
            m.forwarded.clone(),
        );
        registry.register(
            "messages_received",
            "Messages received from Redis",
            m.messages.clone(),
        );
        registry.register(
            "messages_unwanted",
            "Messages that no client wanted any more",
            m.unwanted.clone(),
        );
        registry.register(
            "deliveries",
            "Messages queued for clients",
            m.deliveries.clone(),
        );
        registry.register(
            "undeliverable",
            "Events with attachments for clients that know none",
            m.undeliverable.clone(),
        );
        registry.register(
            "sent_bytes",
            "Bytes written towards clients",
            m.sent_bytes.clone(),
        );
        registry.register("socket_writes", "Writes to WebSockets", m.writes.clone());
        registry.register(
            "client_queue_bytes",
            "Bytes waiting for clients that cannot take them yet",
            m.client_queue_bytes.clone(),
        );
        registry.register_with_unit(
            "delivery",
            "From the arrival of a message to the end of the round that wrote it",
            Unit::Seconds,
            m.delivery_seconds.clone(),
        );
        registry.register(
            "redis_connected",
            "Whether the subscription link stands",
            m.redis_connected.clone(),
        );
        registry.register(
            "redis_gaps",
            "Losses of the subscription link",
            m.redis_gaps.clone(),
        );
        registry.register(
            "redis_gap_seconds",
            "Time without the subscription link",
            m.redis_gap_seconds.clone(),
        );
        registry.register(
            "redis_channels",
            "Redis channels subscribed",
            m.redis_channels.clone(),
        );
        registry.register(
            "shard_queue_waits",
            "Times the router waited for room in a shard's queue",
            m.shard_queue_waits.clone(),
        );
        registry.register(
            "server_events",
            "Server events published by kind",
            m.server_events.clone(),
        );
        registry.register(
            "server_events_dropped",
            "Server events that gave way to later ones",
            m.server_events_dropped.clone(),
        );
        registry.register(
            "ghosts",
            "Memberships whose end was found out by others, or by counting",
            m.ghosts.clone(),
        );
        // Every reason is there from the start, at zero: a rate over a series that appears with
        // its first event would miss that event.
        for reason in CloseReason::ALL {
            drop(m.closed.get_or_create(&ReasonLabel {
                reason: reason.as_str(),
            }));
        }
        for transport in Transport::ALL {
            drop(m.connections.get_or_create(&transport.label()));
            drop(m.opened.get_or_create(&transport.label()));
        }
        for event in ["subscribe", "unsubscribe", "custom"] {
            drop(m.server_events.get_or_create(&EventLabel { event }));
        }
        let others = ["too_large", "too_many_channels", "bad_channel"];
        let reasons = PublicationError::ALL.iter().map(|error| error.as_str());
        for reason in reasons.chain(others) {
            drop(m.rejected.get_or_create(&ReasonLabel { reason }));
        }
        for family in FAMILIES {
            drop(m.instructions.get_or_create(&FamilyLabel { family }));
        }
        Self {
            registry,
            ..metrics
        }
    }

    /// Counts a session that opens.
    pub(crate) fn opened(&self, transport: Transport) {
        self.opened.get_or_create(&transport.label()).inc();
        self.connections.get_or_create(&transport.label()).inc();
    }

    /// Counts a session that ends.
    pub(crate) fn closed(&self, transport: Transport, reason: CloseReason) {
        self.connections.get_or_create(&transport.label()).dec();
        self.closed
            .get_or_create(&ReasonLabel {
                reason: reason.as_str(),
            })
            .inc();
    }

    /// Counts a session that changes from polling to WebSocket.
    pub(crate) fn upgraded(&self) {
        self.connections
            .get_or_create(&Transport::Polling.label())
            .dec();
        self.connections
            .get_or_create(&Transport::WebSocket.label())
            .inc();
        self.upgrades.inc();
    }

    /// Counts an HTTP request that is refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts server events of one kind that were published.
    pub(crate) fn server_events(&self, event: &'static str, count: u64) {
        self.server_events
            .get_or_create(&EventLabel { event })
            .inc_by(count);
    }

    /// Counts that `limit` was reached.
    pub(crate) fn limit(&self, limit: &'static str) {
        self.limits.get_or_create(&LimitLabel { limit }).inc();
    }

    /// Counts a published message that is dropped.
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a message of another family of publishers that is understood.
    pub(crate) fn instructed(&self, family: &'static str) {
        let counter = self.instructions.get_or_create(&FamilyLabel { family });
        counter.inc();
    }

    /// Counts a request to publish by HTTP.
    pub(crate) fn publish_requested(&self, result: &'static str) {
        let counter = self.publish_requests.get_or_create(&ResultLabel { result });
        counter.inc();
    }

    /// Notes how many values wait in a queue.
    pub(crate) fn queue_depth(&self, queue: &str, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        self.queue_depth
            .get_or_create(&QueueLabel {
                queue: queue.to_owned(),
            })
            .set(depth);
    }

    /// All counters as Prometheus reads them.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail; an encoder's own error leaves a shorter page.
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!(%error, "metrics cannot be encoded");
        }
        out
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_appear_under_their_documented_names() {
        let metrics = Metrics::new();
        metrics.opened(Transport::Polling);
        metrics.upgraded();
        metrics.closed(Transport::WebSocket, CloseReason::SlowConsumer);
        let text = metrics.text();
        for line in [
            "womack_connections{transport=\"polling\"} 0",
            "womack_connections_opened_total{transport=\"polling\"} 1",
            "womack_connections_closed_total{reason=\"slow_consumer\"} 1",
            "womack_messages_rejected_total{reason=\"json\"} 0",
            "womack_upgrades_total 1",
            "womack_server_events_total{event=\"custom\"} 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
