//! What the server counts, and its text for Prometheus.
//!
//! Each crate has a struct of its own counters, beside the code that moves them; this one puts them
//! into one registry. `deploy/README.md` has a line for each metric, and a test compares.

mod http;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime},
};

use prometheus_client::{encoding::text, metrics::gauge::Gauge, registry::Registry};
use womack_cluster::{EventMetrics, RelayMetrics};
use womack_ledger::{
    Limit, LimitCounters,
    metrics::{By, add},
};
use womack_redis::SubscriberMetrics;

use self::http::Http;

/// Every counter of the process.
pub(crate) struct Metrics {
    registry: Registry,
    /// The counters of router and shards.
    pub(crate) engine: Arc<womack_engine::Metrics>,
    pub(crate) http: Http,
    pub(crate) relay: RelayMetrics,
    pub(crate) events: EventMetrics,
    pub(crate) limits: LimitCounters,
    /// Bytes of messages that the router has still to take.
    backlog_bytes: Gauge,
    queue_depth: By<Gauge>,
    /// Descriptors that clients have.
    client_sockets: Gauge,
    started: Instant,
}

impl Metrics {
    /// Creates all counters at zero, for a server with so many shards.
    pub(crate) fn new(shards: usize) -> Self {
        let mut registry = Registry::with_prefix("womack");
        let start: Gauge<f64, AtomicU64> = add(
            &mut registry,
            "start_time_seconds",
            "When the process started, in seconds since 1970",
        );
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        start.set(now.unwrap_or_default().as_secs_f64());
        let limits = LimitCounters::new(&mut registry);
        let engine = womack_engine::Metrics::new(&mut registry, limits.clone(), shards);
        Self {
            engine: Arc::new(engine),
            http: Http::new(&mut registry),
            relay: RelayMetrics::new(&mut registry),
            events: EventMetrics::new(&mut registry),
            backlog_bytes: add(
                &mut registry,
                "redis_backlog_bytes",
                "Bytes of messages that the router has still to take",
            ),
            queue_depth: By::new(
                &mut registry,
                "queue_depth",
                "Channels that wait for the router to look at them, and server events for the \
                 reporter (reports)",
                "queue",
                ["router"],
            ),
            client_sockets: add(
                &mut registry,
                "client_sockets",
                "Sockets that clients have, from accept to close, whatever is spoken over them",
            ),
            limits,
            started: Instant::now(),
            registry,
        }
    }

    /// Counts that `limit` was reached.
    pub(crate) fn limit(&self, limit: Limit) {
        self.limits.reached(limit);
    }

    /// The metrics of the subscriber that brings the router its messages.
    pub(crate) fn subscriber(&self) -> SubscriberMetrics {
        SubscriberMetrics {
            backlog_bytes: self.backlog_bytes.clone(),
            backlog_filled: self.limits.counter(Limit::RedisBacklogBytes),
        }
    }

    /// Notes how many values wait in a queue, `router` or `reports`.
    pub(crate) fn queue_depth(&self, queue: &'static str, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        self.queue_depth.of(queue).set(depth);
    }

    /// Notes how many sockets clients have.
    pub(crate) fn client_sockets(&self, open: usize) {
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        self.client_sockets.set(open);
    }

    /// For how long there has been something to count.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
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

#[cfg(test)]
mod tests {
    use womack_engine::Transport;
    use womack_proto::CloseReason;

    use super::*;

    #[test]
    fn every_metric_is_described_and_its_samples_are_written_once() {
        let metrics = Metrics::new(2);
        metrics.limit(Limit::MaxPayload);
        let text = metrics.text();
        let mut families = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("# HELP ")?;
            rest.split_once(' ')
        });
        assert!(families.clone().count() > 20, "{text}");
        assert!(families.all(|(name, help)| name.starts_with("womack_") && help.len() > 5));
        let mut samples: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series))
            .collect();
        let count = samples.len();
        samples.sort_unstable();
        samples.dedup();
        assert_eq!(samples.len(), count, "{text}");
    }

    #[test]
    fn reasons_are_there_before_they_happen() {
        let metrics = Metrics::new(1);
        metrics.engine.clients.opened(Transport::Polling);
        metrics.engine.clients.upgraded();
        metrics
            .engine
            .clients
            .closed(Transport::WebSocket, CloseReason::PingTimeout);
        let text = metrics.text();
        for line in [
            r#"womack_connections{transport="websocket"} 0"#,
            r#"womack_connections{transport="polling"} 0"#,
            r#"womack_connections_closed_total{reason="ping_timeout"} 1"#,
            r#"womack_connections_closed_total{reason="slow_consumer"} 0"#,
            r#"womack_messages_rejected_total{reason="too_large"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
