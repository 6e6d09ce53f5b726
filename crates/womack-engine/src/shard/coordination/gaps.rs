//! Tells clients of gaps, a part of the slots at a time.
//!
//! A gap is told before anything that follows it in the shard's queue, which waits meanwhile.
//! `topics/gaps` knows who may have missed something.

use std::time::Instant;

use smallvec::SmallVec;
use womack_proto::{
    Form, NamespaceId, event_stream,
    gap::{self, Reason},
    lines,
};

use crate::{
    command::{Gap, GapCause},
    shard::Shard,
    sid::ConnectionId,
};

impl Shard {
    /// Whether clients are to be told of a gap.
    pub fn has_gaps_to_tell(&self) -> bool {
        self.subscriptions.has_gaps_to_tell()
    }

    /// Tells some clients of a gap.
    pub fn tell_gaps(&mut self, now: Instant) {
        self.now = now;
        let slots = self.connections.slots();
        let Some((gap, part)) = self.subscriptions.next_gap(slots) else {
            return;
        };
        let is_last = part.end == slots;
        for slot in part {
            self.tell_gap(ConnectionId::at(slot), &gap);
            // A client's channels may have a megabyte of names.
            self.flush_if_full();
        }
        if is_last {
            self.subscriptions.gap_told(&gap);
        }
        self.flush();
    }

    /// Tells a client of a gap, once in each of its namespaces that has a channel concerned.
    fn tell_gap(&mut self, id: ConnectionId, gap: &Gap) {
        let form = self.connections.form(id);
        let reason = match gap.cause {
            GapCause::Loss { .. } => None,
            GapCause::RateLimit(_) => Some(Reason::RateLimit),
        };
        for (namespace, channels) in self.concerned(id, gap) {
            let channels: Vec<_> = channels.iter().map(String::as_str).collect();
            let notice = gap::Gap {
                channels: &channels,
                from: gap.from,
                to: gap.to,
                reason,
            };
            self.context.metrics.redis.gap_notices.inc();
            match form {
                None => self.with_session(id, |session, rules, out| {
                    let text = notice.to_json();
                    session.emit(namespace, gap::EVENT, &text, &[], rules, out);
                }),
                Some(Form::Events) => self.send(id, event_stream::missed(&notice).as_bytes()),
                Some(Form::Lines | Form::Messages) => self.send_line(id, &lines::missed(&notice)),
            }
        }
    }

    /// The channels of a client on which it may have missed something, by namespace.
    fn concerned(&self, id: ConnectionId, gap: &Gap) -> SmallVec<[(NamespaceId, Vec<String>); 1]> {
        let mut concerned: SmallVec<[(NamespaceId, Vec<String>); 1]> = SmallVec::new();
        let Some(connection) = self.connections.get(id) else {
            return concerned;
        };
        let memberships = connection.memberships();
        for membership in self.subscriptions.missed(id, memberships, gap) {
            let (channel, namespace) = (&*membership.channel, membership.topic.namespace);
            let registry = &self.context.registry;
            let name = registry.channel(namespace, channel).unwrap_or(channel);
            let name = name.to_owned();
            match concerned.iter_mut().find(|(known, _)| *known == namespace) {
                Some((_, names)) => names.push(name),
                None => concerned.push((namespace, vec![name])),
            }
        }
        concerned
    }
}
