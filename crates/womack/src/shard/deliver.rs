//! The delivery path: one message to its subscribers, one write to each client that has something.

use bytes::Bytes;
use smallvec::SmallVec;
use womack_proto::{CloseReason, Except, NamespaceId};

use super::{
    Shard,
    connection::Transport,
    outbox::{Span, Spans, write_spans},
};
use crate::{
    command::{Delivery, RequestKind, SessionRequest, ToShard},
    sid::Sid,
};

/// Frames gathered before clients are written to. Bounds the memory of a round, and with it how
/// far a burst merges.
const ROUND_BYTES: usize = 4 << 20;

impl Shard {
    /// Does what other threads want, and writes what came of it.
    pub(crate) fn apply_commands(&mut self, commands: &mut Vec<ToShard>) {
        for command in commands.drain(..) {
            match command {
                ToShard::Deliver(delivery) => {
                    self.deliver(&delivery);
                    if self.round.len() > ROUND_BYTES {
                        self.flush();
                    }
                }
                ToShard::Live { channel, topics } => self.live(&channel, &topics),
                ToShard::Link(linked) => self.link(linked),
                ToShard::Request(request) => self.request(*request),
                // The shard's tasks see to it.
                ToShard::Drain => {}
            }
        }
        self.flush();
    }

    /// Does what a client asks of the session that it names, without writing yet.
    pub(crate) fn request(&mut self, SessionRequest { sid, kind }: SessionRequest) {
        match kind {
            RequestKind::Poll { token, answer } => self.poll(sid, token, answer),
            RequestKind::PollAborted { token } => self.abort_poll(sid, token),
            RequestKind::Post { body, answer } => self.post(sid, &body, answer),
            RequestKind::Upgrade { stream, early } => self.probe(sid, stream, &early),
        }
    }

    /// Queues a frame for each subscriber.
    fn deliver(&mut self, delivery: &Delivery) {
        let span = self.round.append(delivery.frame.as_bytes());
        let excepted = self.excepted(&delivery.except, delivery.topic.namespace);
        let (round, connections) = (&mut self.round, &mut self.connections);
        let mut count = 0;
        self.channels
            .for_each(&delivery.channel, delivery.topic, |id| {
                if excepted.contains(&id) {
                    return;
                }
                if let Some(connection) = connections.get_mut(id as usize) {
                    round.add(id, &mut connection.outbox, span);
                    count += 1;
                }
            });
        self.common.metrics.deliveries.inc_by(count);
        self.received.push(delivery.received);
    }

    /// The connections of this shard that a message spares.
    fn excepted(&self, except: &Except, namespace: NamespaceId) -> SmallVec<[u32; 4]> {
        let sids = except.ids().filter_map(Sid::parse);
        let here = sids.filter(|sid| sid.node == self.common.sids.node && sid.shard == self.id);
        here.filter(|sid| {
            let connection = self.connections.get(sid.slot as usize);
            connection.is_some_and(|connection| {
                *sid == self.namespace_sid(sid.slot, connection.secret, namespace)
            })
        })
        .map(|sid| sid.slot)
        .collect()
    }

    /// Writes to every client what the round has for it.
    pub(crate) fn flush(&mut self) {
        // A client that is closed here may leave something for others: acknowledgements, say.
        while !self.round.is_clean() {
            self.flush_once();
        }
    }

    fn flush_once(&mut self) {
        let dirty = self.round.take_dirty();
        let mut spans = std::mem::take(&mut self.spans);
        let mut left_over: Vec<(u32, Spans)> = Vec::new();
        let mut broken: Vec<(u32, CloseReason)> = Vec::new();
        let (mut writes, mut bytes) = (0, 0);
        for &id in &dirty {
            // It may have closed since, or be a later one in the same place, without spans.
            let Some(connection) = self.connections.get_mut(id as usize) else {
                continue;
            };
            self.round.take(&mut connection.outbox, &mut spans);
            if spans.is_empty() {
                continue;
            }
            match &mut connection.transport {
                Transport::WebSocket(wire) => {
                    if connection.outbox.pending.is_some() {
                        left_over.push((id, spans.clone()));
                        continue;
                    }
                    writes += 1;
                    match write_spans(&self.round, &spans, wire) {
                        Ok(written) => {
                            bytes += written as u64;
                            if skip(&mut spans, written) {
                                left_over.push((id, spans.clone()));
                            }
                        }
                        Err(_) => broken.push((id, CloseReason::TransportError)),
                    }
                }
                // Copied below, then taken by the poll that waits, if one does.
                Transport::Polling(_) => left_over.push((id, spans.clone())),
            }
        }
        self.spans = spans;
        self.common.metrics.writes.inc_by(writes);
        self.common.metrics.sent_bytes.inc_by(bytes);
        self.keep(left_over, &mut broken);
        for received in self.received.drain(..) {
            self.common
                .metrics
                .delivery_seconds
                .observe(received.elapsed().as_secs_f64());
        }
        self.round.finish(dirty);
        for (id, reason) in broken {
            self.close(id, reason);
        }
    }

    /// Keeps what sockets did not take. Few bytes are copied, so that a slow client does not hold
    /// a whole round in memory; many are shared by all who still need them.
    fn keep(&mut self, left_over: Vec<(u32, Spans)>, broken: &mut Vec<(u32, CloseReason)>) {
        let total: usize = left_over
            .iter()
            .flat_map(|(_, spans)| spans)
            .map(|span| span.len())
            .sum();
        let shared = (total > self.round.len()).then(|| self.round.freeze());
        let most = self.common.config.max_client_queue_bytes;
        for (id, spans) in left_over {
            let Some(connection) = self.connections.get_mut(id as usize) else {
                continue;
            };
            let before = connection.outbox.pending_bytes();
            for span in spans {
                connection.outbox.keep(match &shared {
                    Some(shared) => shared.slice(span.start as usize..span.end as usize),
                    None => Bytes::copy_from_slice(self.round.bytes(span)),
                });
            }
            let pending = connection.outbox.pending_bytes();
            self.common
                .metrics
                .client_queue_bytes
                .inc_by((pending - before) as i64);
            if let Transport::Polling(_) = connection.transport {
                self.answer_poll(id);
            }
            let waiting = self
                .connections
                .get(id as usize)
                .map(|found| found.outbox.pending_bytes());
            if waiting.is_some_and(|waiting| waiting > most) {
                self.common.metrics.limit("max_client_queue_bytes");
                broken.push((id, CloseReason::SlowConsumer));
            }
        }
    }

    /// A WebSocket takes bytes again.
    pub(super) fn write_pending(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(id as usize) else {
            return;
        };
        let Transport::WebSocket(wire) = &mut connection.transport else {
            return;
        };
        let Some(pending) = &mut connection.outbox.pending else {
            return;
        };
        let before = pending.len();
        let done = pending.write_to(wire);
        let written = before - pending.len();
        if matches!(done, Ok(true)) {
            connection.outbox.pending = None;
        }
        self.common
            .metrics
            .client_queue_bytes
            .dec_by(written as i64);
        self.common.metrics.sent_bytes.inc_by(written as u64);
        self.common.metrics.writes.inc();
        if done.is_err() {
            self.close(id, CloseReason::TransportError);
        }
    }
}

/// Takes the first `count` bytes off `spans`. Whether any are left.
fn skip(spans: &mut Spans, mut count: usize) -> bool {
    spans.retain(|span: &mut Span| {
        let taken = count.min(span.len());
        count -= taken;
        span.start += taken as u32;
        span.len() > 0
    });
    !spans.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipping_cuts_through_spans() {
        let spans: Spans = [(0, 5), (8, 10), (20, 30)]
            .map(|(start, end)| Span { start, end })
            .into_iter()
            .collect();
        for (count, left) in [
            (0, 17),
            (3, 14),
            (5, 12),
            (6, 11),
            (7, 10),
            (16, 1),
            (17, 0),
        ] {
            let mut spans = spans.clone();
            assert_eq!(skip(&mut spans, count), left > 0);
            assert_eq!(
                spans.iter().map(|span| span.len()).sum::<usize>(),
                left,
                "{count}"
            );
        }
    }
}
