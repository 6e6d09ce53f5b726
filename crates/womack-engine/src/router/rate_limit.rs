//! Messages beyond the limit of their namespace: which are dropped, and how clients are told.

use std::sync::Arc;

use smallvec::SmallVec;
use tracing::warn;
use womack_proto::NamespaceId;

use super::{
    Arrival, Now, Output, Router, message_limits::DroppedMessages, open_gaps::unix_millis,
    routes::TopicRoute, traffic::Traffic,
};
use crate::command::{Gap, GapCause, ToShard};

/// The namespaces for which a message is dropped; nearly always none.
pub(super) type DroppedFor = SmallVec<[NamespaceId; 1]>;

impl Traffic {
    /// Counts a message of so many bytes for each of its namespaces. Returns those that have had
    /// too many.
    pub(super) fn limit(
        &mut self,
        channel: &Arc<str>,
        namespaces: impl Iterator<Item = NamespaceId>,
        bytes: usize,
        arrival: Arrival,
    ) -> DroppedFor {
        let mut dropped = DroppedFor::new();
        for namespace in namespaces {
            self.namespaces.add(namespace, bytes);
            if self.limits.is_empty() || arrival.was_held {
                continue;
            }
            let received_to = self.received_to.earliest().unwrap_or(arrival.at);
            let limits = &mut self.limits;
            if !limits.admit(namespace, channel, arrival.at, received_to) {
                self.namespaces.add_dropped(namespace);
                dropped.push(namespace);
            }
        }
        dropped
    }
}

impl Router {
    /// Ends the second for which messages are counted: clients are told what has been dropped,
    /// before anything that follows.
    pub(super) fn end_second(&mut self, now: Now, out: &mut Output) {
        let all = self.traffic.limits.end();
        if all.is_empty() {
            return;
        }
        // Messages that were held back to go out together are older.
        self.release(out);
        for dropped in all {
            self.tell_dropped(dropped, now, out);
        }
    }

    fn tell_dropped(&mut self, dropped: DroppedMessages, now: Now, out: &mut Output) {
        let DroppedMessages {
            namespace,
            channels,
            since,
            count,
        } = dropped;
        let entry = self.context.registry.get(namespace);
        let throttle = &mut self.throttles.rate_limits;
        if let Some(held_back) = throttle.pass(now.instant) {
            warn!(
                namespace = entry.path,
                messages = count,
                channels = channels.len(),
                most = entry.max_messages_per_second,
                held_back,
                "a namespace has more messages than --max-messages-per-second: those beyond are \
                 dropped, of the busiest channels first"
            );
        }
        if !self.context.config.gap_notices {
            return;
        }
        let length = now.instant.saturating_duration_since(since);
        let (from, to) = unix_millis(length, now.wall);
        let gap = Arc::new(Gap {
            cause: GapCause::RateLimit(namespace),
            channels,
            from,
            to,
        });
        self.tell_all(|| ToShard::Gap(gap.clone()), out);
    }
}

/// The namespaces of a channel's topics, each once.
pub(super) fn namespaces(topics: &[TopicRoute]) -> impl Iterator<Item = NamespaceId> {
    let numbered = topics.iter().enumerate();
    numbered.filter_map(|(at, known)| {
        let namespace = known.topic.namespace;
        let mut earlier = topics[..at].iter();
        let is_first = !earlier.any(|other| other.topic.namespace == namespace);
        is_first.then_some(namespace)
    })
}
