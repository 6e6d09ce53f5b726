//! What the server counts, and its text for Prometheus.
//!
//! Counters are shared by all threads, but the delivery path adds to them once per message or per
//! round, not once per client, so that they cost nothing there. Each is declared and described in
//! the file of what it is about; `deploy/README.md` has a line for each, and a test compares.

mod clients;
mod delivery;
mod messages;
mod redis;
mod relay;
mod reports;
mod shards;

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant, SystemTime},
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use womack_redis::SubscriberMetrics;

use self::{
    clients::Clients,
    delivery::Deliveries,
    messages::{Messages, TOO_LARGE},
    redis::Redis,
    relay::Relay,
    reports::ServerEvents,
    shards::Shards,
};
pub(crate) use womack_ledger::metrics::Reading;
use womack_ledger::{LimitCounters, metrics::add};

pub(crate) use self::{clients::Transport, shards::ShardMetrics};
use womack_ledger::Limit;

/// Every counter of the process.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) clients: Clients,
    pub(crate) messages: Messages,
    pub(crate) deliveries: Deliveries,
    pub(crate) redis: Redis,
    pub(crate) relay: Relay,
    pub(crate) server_events: ServerEvents,
    pub(crate) shards: Shards,
    limits: LimitCounters,
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
        Self {
            clients: Clients::new(&mut registry),
            messages: Messages::new(&mut registry),
            deliveries: Deliveries::new(&mut registry),
            redis: Redis::new(&mut registry),
            relay: Relay::new(&mut registry),
            server_events: ServerEvents::new(&mut registry),
            shards: Shards::new(&mut registry, shards),
            limits: LimitCounters::new(&mut registry),
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
            backlog_bytes: self.redis.backlog_bytes.clone(),
            backlog_filled: self.limits.of(Limit::RedisBacklogBytes.as_str()).clone(),
        }
    }

    /// Counts a published message that is dropped.
    pub(crate) fn rejected(&self, reason: &'static str) {
        if reason == TOO_LARGE {
            self.limit(Limit::MaxMessageBytes);
        }
        self.messages.rejected(reason);
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
        metrics.clients.opened(Transport::Polling);
        metrics.clients.upgraded();
        metrics
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
