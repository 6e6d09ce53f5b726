//! What a batch of messages has brought, and warnings of who brings most.

use std::time::Instant;

use tracing::warn;

use super::Router;
use crate::busy_channels::BusyChannel;

/// Messages a second below which nobody is warned: a server takes more in its stride.
const WARNED_RATE: f64 = 10_000.0;
/// The part of all messages that a channel has to bring before somebody is warned of it.
const WARNED_CHANNEL_PART: f64 = 0.25;
/// The same of a namespace.
const WARNED_NAMESPACE_PART: f64 = 0.5;
impl Router {
    /// Hands what a batch has brought to the metrics, and once a second finds out which channels
    /// bring most.
    pub(super) fn count_batch(&mut self, now: Instant) {
        let traffic = &mut self.traffic;
        let received = std::mem::take(&mut traffic.received);
        if received == 0 {
            return;
        }
        traffic.of_period += received;
        let metrics = &self.context.metrics;
        metrics.messages.received.inc_by(received);
        metrics.rate_limited(traffic.namespaces.flush());
        if let Some(period) = traffic.busiest.end(now) {
            let all = std::mem::take(&mut traffic.of_period);
            let seconds = period.length.as_secs_f64();
            let rate = all as f64 / seconds;
            self.warn_of_channels(&period.channels, rate, now);
            self.warn_of_namespaces(seconds, rate, now);
            self.context.busy_channels.set(period.channels, now);
        }
    }

    fn warn_of_channels(&mut self, channels: &[BusyChannel], rate: f64, now: Instant) {
        for busy in channels {
            let part = busy.messages_per_second / rate;
            if busy.messages_per_second < WARNED_RATE || part < WARNED_CHANNEL_PART {
                continue;
            }
            let channel = &busy.redis_channel;
            let Some(held_back) = self.traffic.warnings.pass(channel, now) else {
                continue;
            };
            let loads = self.channels.iter().flat_map(|shard| shard.loads(channel));
            let subscribers: u64 = loads.map(|found| found.load.subscribers).sum();
            warn!(
                %channel,
                messages_per_second = busy.messages_per_second as u64,
                bytes_per_second = busy.bytes_per_second as u64,
                percent_of_messages = (part * 100.0) as u64,
                deliveries_per_second = (busy.messages_per_second * subscribers as f64) as u64,
                held_back,
                "a channel brings much of all messages, and delays those of others when the \
                 machine is full; --max-messages-per-second PATH=N limits the namespace"
            );
        }
    }

    fn warn_of_namespaces(&mut self, seconds: f64, rate: f64, now: Instant) {
        let registry = &self.context.registry;
        for (id, messages) in self.traffic.namespaces.end_period() {
            let messages_per_second = messages as f64 / seconds;
            let part = messages_per_second / rate;
            // One that is alone has everything.
            let is_large = messages_per_second >= WARNED_RATE && part >= WARNED_NAMESPACE_PART;
            if registry.count() == 1 || !is_large {
                continue;
            }
            let entry = registry.get(id);
            let name = format!("namespace {}", entry.path).into();
            if let Some(held_back) = self.traffic.warnings.pass(&name, now) {
                warn!(
                    namespace = entry.path,
                    key = entry.key,
                    messages_per_second = messages_per_second as u64,
                    percent_of_messages = (part * 100.0) as u64,
                    held_back,
                    "a namespace brings much of all messages, and delays those of others when the \
                     machine is full; --max-messages-per-second PATH=N limits it"
                );
            }
        }
    }
}
