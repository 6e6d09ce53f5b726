//! Output of a shard: the current round, and one write to each client that has something in it.

use std::{io, mem, time::Instant};

use bytes::Bytes;
use smallvec::SmallVec;
use womack_ledger::Ledger;
use womack_proto::CloseReason;

use super::{
    pending::Fate,
    round::{Outbox, Round, Span, Spans, write_spans},
};
use crate::{
    shard::io::{
        ring::{Answer, Ring},
        wire::Wire,
    },
    sid::ConnectionId,
};

/// From this many sends on, one system call for all of them is cheaper than one for each.
const SENDS_FOR_THE_RING: usize = 8;

/// The rounds that a shard sends.
pub(in crate::shard) struct Egress {
    round: Round,
    /// Sends rounds with one system call; none where the system has it not.
    ring: Option<Ring>,
    ledger: Ledger,
    /// How many batches of commands have been begun.
    batch: u64,
    /// When the first message of this round reached the router.
    received: Option<Instant>,
    // Buffers that are lent to whoever needs one and come back empty.
    spans: Spans,
    sends: Vec<(ConnectionId, Span)>,
    answers: Vec<Answer>,
}

/// The clients that a round is written to.
pub(in crate::shard) trait Recipients {
    /// The client `id`; `None` if it has gone.
    fn recipient(&mut self, id: ConnectionId) -> Option<Recipient<'_>>;

    /// The WebSocket of the client `id`, if it has one.
    fn wire(&self, id: ConnectionId) -> Option<&Wire>;
}

/// A client that a round is written to.
pub(in crate::shard) struct Recipient<'a> {
    pub(in crate::shard) outbox: &'a mut Outbox,
    /// The WebSocket that takes what is written; `None` for clients that fetch it.
    pub(in crate::shard) wire: Option<&'a mut Wire>,
}

/// Spans that a client has not taken.
pub(in crate::shard) struct LeftOver {
    pub(in crate::shard) id: ConnectionId,
    pub(in crate::shard) spans: Spans,
}

/// The outcome of writing a round.
#[derive(Default)]
pub(in crate::shard) struct Written {
    pub(in crate::shard) left_over: Vec<LeftOver>,
    /// Clients whose sockets have failed.
    pub(in crate::shard) broken: Vec<(ConnectionId, CloseReason)>,
    pub(in crate::shard) writes: u64,
    pub(in crate::shard) bytes: u64,
    /// The list of clients, whose memory is used again.
    dirty: Vec<ConnectionId>,
}

impl Egress {
    /// Nothing is to be sent yet. Copies are charged to `ledger`.
    pub(in crate::shard) fn new(ring: Option<Ring>, ledger: Ledger) -> Self {
        Self {
            round: Round::new(&ledger),
            ring,
            ledger,
            batch: 0,
            received: None,
            spans: Spans::new(),
            sends: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// A batch of commands begins.
    pub(in crate::shard) const fn begin_batch(&mut self) {
        self.batch += 1;
    }

    /// The number of the batch of commands that is under way.
    pub(in crate::shard) const fn batch(&self) -> u64 {
        self.batch
    }

    /// Puts a message at the end of the round. `fate` says what may become of it, if messages are
    /// told apart.
    pub(in crate::shard) fn append(&mut self, frame: &[u8], fate: Option<Fate>) -> Span {
        let span = self.round.append(frame);
        if let Some(fate) = fate {
            self.round.mark(span, fate);
        }
        span
    }

    /// Gives a client a span of the round.
    pub(in crate::shard) fn add(&mut self, id: ConnectionId, outbox: &mut Outbox, span: Span) {
        self.round.add(id, outbox, span);
    }

    /// Gives a client whole frames of its own.
    pub(in crate::shard) fn send(&mut self, id: ConnectionId, outbox: &mut Outbox, frames: &[u8]) {
        let span = self.round.append(frames);
        self.round.add(id, outbox, span);
    }

    /// A message that reached the router at `received` is in this round.
    pub(in crate::shard) fn note_received(&mut self, received: Instant) {
        let first = self.received.map_or(received, |first| first.min(received));
        self.received = Some(first);
    }

    /// Whether so much is in the round that it is to be written before more is gathered.
    pub(in crate::shard) fn is_full(&self) -> bool {
        self.round.is_full()
    }

    /// Whether nobody has anything in the round.
    pub(in crate::shard) const fn is_clean(&self) -> bool {
        self.round.is_clean()
    }

    /// Takes a client, which is gone or about to go, out of the round. Returns a copy of what the
    /// round has for it.
    pub(in crate::shard) fn take(&mut self, outbox: &mut Outbox) -> SmallVec<[Bytes; 1]> {
        self.round.take(outbox, &mut self.spans);
        let spans = self.spans.drain(..);
        let bytes = spans.map(|span| self.ledger.share(self.round.bytes(span).to_vec()));
        bytes.collect()
    }

    /// Moves what the round has for such a client behind what earlier rounds left over.
    pub(in crate::shard) fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        for bytes in self.take(outbox) {
            outbox.keep(bytes, &self.ledger, now);
        }
    }

    /// Writes to every client what the round has for it. The round is over with
    /// [`Egress::finish`]; until then its bytes are there for those who did not take them.
    pub(in crate::shard) fn write(&mut self, clients: &mut impl Recipients) -> Written {
        let mut written = Written::default();
        let dirty = self.round.take_dirty();
        let mut sends = mem::take(&mut self.sends);
        let mut spans = mem::take(&mut self.spans);
        let gathers = self.ring.is_some() && dirty.len() >= SENDS_FOR_THE_RING;
        for &id in &dirty {
            // It may have closed since, or be a later one in the same place, without spans.
            let Some(Recipient { outbox, wire }) = clients.recipient(id) else {
                continue;
            };
            self.round.take(outbox, &mut spans);
            if spans.is_empty() {
                continue;
            }
            match wire {
                Some(wire) if !outbox.has_pending() => {
                    self.round.join(&mut spans);
                    match spans[..] {
                        [span] if gathers => sends.push((id, span)),
                        _ => {
                            let taken = write_spans(&self.round, &spans, wire);
                            written.note(id, &mut spans, taken);
                        }
                    }
                }
                // Kept by the client, and taken by the poll that waits, if one does, or by a body.
                _ => written.left_over.push(LeftOver {
                    id,
                    spans: spans.clone(),
                }),
            }
        }
        self.submit(&sends, &mut spans, &mut written, clients);
        sends.clear();
        (self.spans, self.sends) = (spans, sends);
        written.dirty = dirty;
        written
    }

    /// Sends a span each to many sockets. What a ring that fails does not take is written.
    fn submit(
        &mut self,
        sends: &[(ConnectionId, Span)],
        spans: &mut Spans,
        written: &mut Written,
        clients: &mut impl Recipients,
    ) {
        let mut answers = mem::take(&mut self.answers);
        answers.clear();
        if let Some(ring) = &mut self.ring {
            let round = &self.round;
            // Answers are in the order of the jobs, so one that cannot be ends them.
            let jobs = sends
                .iter()
                .map_while(|&(id, span)| clients.wire(id)?.job(round.bytes(span)));
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
                let wire = clients.recipient(id).and_then(|client| client.wire);
                let wire = wire.ok_or(io::ErrorKind::NotConnected)?;
                write_spans(&self.round, spans, wire)
            });
            written.note(id, spans, taken);
        }
        self.answers = answers;
    }

    /// Takes the whole round out to share it, if that is less than a copy for each who has still to
    /// take some of it. Few bytes are rather copied, so that a slow client does not hold a whole
    /// round in memory.
    pub(in crate::shard) fn share(&mut self, left_over: &[LeftOver]) -> Option<Bytes> {
        let spans = left_over.iter().flat_map(|left_over| &left_over.spans);
        let total: usize = spans.map(|span| span.len()).sum();
        (total > self.round.len()).then(|| self.round.freeze())
    }

    /// The messages of a span, and what is between them, each with what may become of it. Their
    /// bytes are parts of `shared`, or a copy.
    pub(in crate::shard) fn pieces(
        &self,
        span: Span,
        shared: Option<&Bytes>,
    ) -> impl Iterator<Item = (Bytes, Fate)> {
        let bytes = match shared {
            Some(shared) => shared.slice(span.start as usize..span.end as usize),
            None => self.ledger.share(self.round.bytes(span).to_vec()),
        };
        self.round.pieces(span).map(move |(piece, fate)| {
            let (start, end) = (piece.start - span.start, piece.end - span.start);
            (bytes.slice(start as usize..end as usize), fate)
        })
    }

    /// Ends the round. Returns when its first message reached the router, if it had one.
    pub(in crate::shard) fn finish(&mut self, written: Written) -> Option<Instant> {
        self.round.finish(written.dirty);
        self.received.take()
    }
}

impl Written {
    /// Notes what the socket of `id` took of its spans.
    fn note(&mut self, id: ConnectionId, spans: &mut Spans, taken: io::Result<usize>) {
        self.writes += 1;
        match taken {
            Ok(count) => {
                self.bytes += count as u64;
                if skip(spans, count) {
                    self.left_over.push(LeftOver {
                        id,
                        spans: spans.clone(),
                    });
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
    use crate::shard::io::{
        memory::MemorySocket, socket_id::SocketId, sockets::Sockets, wire::Socket,
    };

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

    /// Clients whose sockets take so many bytes each; one without a socket fetches.
    struct Clients(Vec<(Outbox, Option<Wire>)>);

    impl Recipients for Clients {
        fn recipient(&mut self, id: ConnectionId) -> Option<Recipient<'_>> {
            let (outbox, wire) = self.0.get_mut(id.index())?;
            let wire = wire.as_mut();
            Some(Recipient { outbox, wire })
        }

        fn wire(&self, id: ConnectionId) -> Option<&Wire> {
            self.0.get(id.index())?.1.as_ref()
        }
    }

    fn clients(rooms: &[Option<usize>]) -> Clients {
        let sockets = Sockets::in_memory();
        let client = |room: &Option<usize>| {
            let socket = room.map(|room| Socket::Memory(MemorySocket::with_room(room)));
            let wire = socket.map(|socket| sockets.open(socket, SocketId::Nobody).unwrap());
            (Outbox::new(), wire)
        };
        Clients(rooms.iter().map(client).collect())
    }

    /// Gives all clients a frame and writes. Returns what each has not taken.
    fn round(egress: &mut Egress, clients: &mut Clients, frame: &[u8]) -> Vec<(u32, usize)> {
        let span = egress.append(frame, None);
        for (id, (outbox, _)) in (0..).map(ConnectionId).zip(&mut clients.0) {
            egress.add(id, outbox, span);
        }
        let written = egress.write(clients);
        let left = written.left_over.iter().map(|left_over| {
            let bytes = left_over.spans.iter().map(|span| span.len()).sum();
            (left_over.id.0, bytes)
        });
        let left = left.collect();
        egress.finish(written);
        left
    }

    #[test]
    fn what_a_socket_does_not_take_is_left_over_and_what_follows_it_too() {
        let mut egress = Egress::new(None, Ledger::default());
        let mut clients = clients(&[Some(10), Some(100), None]);
        assert_eq!(round(&mut egress, &mut clients, b"four"), [(2, 4)]);
        assert_eq!(
            round(&mut egress, &mut clients, b"eight by"),
            [(0, 2), (2, 8)]
        );
        let (outbox, _) = &mut clients.0[0];
        outbox.keep("by".into(), &Ledger::default(), Instant::now());
        let left = round(&mut egress, &mut clients, b"x");
        assert_eq!(left, [(0, 1), (2, 1)], "its order is kept");
        assert!(egress.is_clean());
    }

    #[test]
    fn a_round_is_shared_by_those_who_together_need_more_than_it_has() {
        let ledger = Ledger::default();
        let mut egress = Egress::new(None, ledger.clone());
        let span = egress.append(b"some bytes", None);
        let left_over = |id| LeftOver {
            id: ConnectionId(id),
            spans: Spans::from_slice(&[span]),
        };
        assert!(egress.share(&[left_over(0)]).is_none());
        let shared = egress.share(&[left_over(0), left_over(1)]).unwrap();
        let pieces: Vec<_> = egress.pieces(span, Some(&shared)).collect();
        assert_eq!(pieces[0].0, "some bytes");
    }
}
