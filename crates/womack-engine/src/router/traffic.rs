//! The messages that come: how many for which namespace, and which channels bring most of them.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::warn;

use super::{
    Router, busiest::BusiestChannels, message_limits::MessageLimits,
    namespace_counts::NamespaceCounts, rate_limit::ReceivedTo,
};
use crate::{busy_channels::BusyChannel, metrics::Metrics, namespace::Registry};

/// Messages a second below which nobody is warned: a server takes more in its stride.
const WARNED_RATE: f64 = 10_000.0;
/// The part of all messages that a channel has to bring before somebody is warned of it.
const WARNED_CHANNEL_PART: f64 = 0.25;
/// The same of a namespace.
const WARNED_NAMESPACE_PART: f64 = 0.5;
/// Time between two warnings of the same channel or namespace.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// Warnings in that time.
const MAX_WARNINGS: usize = 16;

/// What is counted of the messages that come, and how many may.
pub(super) struct Traffic {
    pub(super) busiest: BusiestChannels,
    pub(super) namespaces: NamespaceCounts,
    pub(super) limits: MessageLimits,
    pub(super) received_to: ReceivedTo,
    /// Messages of the present batch.
    pub(super) received: u64,
    /// Messages of the present period.
    of_period: u64,
    warnings: Warnings,
}

impl Traffic {
    pub(super) fn new(registry: &Registry, metrics: &Metrics) -> Self {
        let limits = registry
            .iter()
            .map(|(_, entry)| entry.max_messages_per_second);
        Self {
            busiest: BusiestChannels::default(),
            namespaces: NamespaceCounts::new(registry, metrics),
            limits: MessageLimits::new(limits),
            received_to: ReceivedTo::default(),
            received: 0,
            of_period: 0,
            warnings: Warnings::default(),
        }
    }
}

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

/// The warnings of the last minute.
#[derive(Default)]
struct Warnings {
    /// The names that were warned of, oldest first.
    recent: VecDeque<(Arc<str>, Instant)>,
    held_back: u64,
}

impl Warnings {
    /// Whether to warn of `name` at `now`; if so, how many warnings of other names were held back
    /// as there were too many.
    fn pass(&mut self, name: &Arc<str>, now: Instant) -> Option<u64> {
        let is_over = |at: Instant| at + WARNING_INTERVAL <= now;
        while self.recent.front().is_some_and(|(_, at)| is_over(*at)) {
            self.recent.pop_front();
        }
        if self.recent.iter().any(|(known, _)| known == name) {
            return None;
        }
        if self.recent.len() >= MAX_WARNINGS {
            self.held_back += 1;
            return None;
        }
        self.recent.push_back((name.clone(), now));
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_warned_of_once_a_minute_and_only_so_many_are() {
        let (mut warnings, now) = (Warnings::default(), Instant::now());
        let name = |number: usize| Arc::from(number.to_string());
        for number in 0..MAX_WARNINGS {
            assert_eq!(warnings.pass(&name(number), now), Some(0));
            assert_eq!(warnings.pass(&name(number), now), None);
        }
        assert_eq!(warnings.pass(&name(99), now), None);
        let later = now + WARNING_INTERVAL;
        assert_eq!(warnings.pass(&name(0), later), Some(1));
        assert_eq!(warnings.recent.len(), 1);
    }
}
