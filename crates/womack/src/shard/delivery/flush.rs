//! The end of a round: one write to each client that has something.

use std::io;

use womack_proto::CloseReason;

use super::round::{Span, Spans, write_spans};
use crate::{
    shard::{
        Shard,
        connections::connection::Transport,
        io::{elapsed_since, ring::Job},
    },
    sid::ConnectionId,
};

/// From this many sends on, one system call for all of them is cheaper than one for each.
const SENDS_FOR_THE_RING: usize = 8;

impl Shard {
    /// Writes to every client what the round has for it.
    pub(in crate::shard) fn flush(&mut self) {
        // A client that is closed here may leave something for others: acknowledgements, say.
        while !self.round.is_clean() {
            self.flush_once();
        }
    }

    fn flush_once(&mut self) {
        let dirty = self.round.take_dirty();
        let mut written = Written::default();
        let mut sends = std::mem::take(&mut self.sends);
        let mut spans = std::mem::take(&mut self.spans);
        let gathers = self.ring.is_some() && dirty.len() >= SENDS_FOR_THE_RING;
        for &id in &dirty {
            // It may have closed since, or be a later one in the same place, without spans.
            let Some(connection) = self.connections.get_mut(id.index()) else {
                continue;
            };
            self.round.take(&mut connection.outbox, &mut spans);
            if spans.is_empty() {
                continue;
            }
            match &mut connection.transport {
                Transport::WebSocket(wire) if connection.outbox.pending.is_none() => {
                    self.round.join(&mut spans);
                    match spans[..] {
                        [span] if gathers => sends.push((id, span)),
                        _ => {
                            let taken = write_spans(&self.round, &spans, wire);
                            written.note(id, &mut spans, taken);
                        }
                    }
                }
                // Kept below, and taken by the poll that waits, if one does, or by a body.
                Transport::WebSocket(_) | Transport::Polling(_) | Transport::Events(_) => {
                    written.left_over.push((id, spans.clone()));
                }
            }
        }
        self.submit(&sends, &mut spans, &mut written);
        sends.clear();
        (self.spans, self.sends) = (spans, sends);
        self.common.metrics.deliveries.writes.inc_by(written.writes);
        self.common
            .metrics
            .deliveries
            .sent_bytes
            .inc_by(written.bytes);
        let Written {
            left_over,
            mut broken,
            ..
        } = written;
        let has_kept = !left_over.is_empty();
        self.keep(left_over, &mut broken);
        if let Some(received) = self.received.take() {
            let seconds = &self.common.metrics.deliveries.seconds;
            seconds.observe(elapsed_since(received));
        }
        self.round.finish(dirty);
        for (id, reason) in broken {
            self.close(id, reason);
        }
        if has_kept {
            self.relieve();
        }
    }

    /// Sends a span each to many sockets. What a ring that fails does not take is written.
    fn submit(&mut self, sends: &[(ConnectionId, Span)], spans: &mut Spans, written: &mut Written) {
        let (round, connections) = (&self.round, &self.connections);
        let mut answers = std::mem::take(&mut self.answers);
        answers.clear();
        if let Some(ring) = &mut self.ring {
            // Answers are in the order of the jobs, so one that cannot be ends them.
            let jobs = sends.iter().map_while(|&(id, span)| {
                let socket = connections.get(id.index())?.socket()?;
                Some(Job {
                    socket,
                    bytes: round.bytes(span),
                })
            });
            if let Err(error) = ring.send(jobs, &mut answers) {
                tracing::warn!(%error, "io_uring failed, writing without it from now on");
                self.ring = None;
            }
        }
        for (at, &(id, span)) in sends.iter().enumerate() {
            spans.clear();
            spans.push(span);
            let answered = answers.get(at).and_then(|answer| answer.taken());
            let taken = answered.unwrap_or_else(|| {
                let connection = self.connections.get_mut(id.index());
                let wire = connection.and_then(|found| found.wire_mut(false));
                let wire = wire.ok_or(io::ErrorKind::NotConnected)?;
                write_spans(&self.round, spans, wire)
            });
            written.note(id, spans, taken);
        }
        self.answers = answers;
    }
}

/// What writing a round came to.
#[derive(Default)]
struct Written {
    /// What sockets did not take.
    left_over: Vec<(ConnectionId, Spans)>,
    broken: Vec<(ConnectionId, CloseReason)>,
    writes: u64,
    bytes: u64,
}

impl Written {
    /// Notes what the socket of `id` took of its spans.
    fn note(&mut self, id: ConnectionId, spans: &mut Spans, taken: io::Result<usize>) {
        self.writes += 1;
        match taken {
            Ok(count) => {
                self.bytes += count as u64;
                if skip(spans, count) {
                    self.left_over.push((id, spans.clone()));
                }
            }
            Err(_) => self.broken.push((id, CloseReason::TransportError)),
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
