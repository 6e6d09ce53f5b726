//! Frames that wait for clients.
//!
//! What a shard sends in one round stands once, one frame after the other, in the round's
//! buffer. A client's [`Outbox`] holds which spans of it are the client's; neighbouring spans
//! merge, so that a burst on one channel is one span for each of a thousand subscribers. When the
//! round ends each client is written to once. Only what its socket does not take is kept, by the
//! client, as [`Pending`].

use std::{
    io::{self, IoSlice},
    iter, mem,
    time::{Duration, Instant},
};

use bytes::Bytes;
use smallvec::SmallVec;
use womack_ledger::{Buffer, Ledger, Limit};

use super::pending::{Fate, Pending, Room, Thinned};
use crate::{
    shard::io::vectored::{SLICES_PER_WRITE, write_some},
    sid::ConnectionId,
};

/// Buffers above this size are not kept for the next round. They are a part of what each shard is
/// charged for.
const KEPT_BYTES: usize = 1 << 20;
/// Several spans with up to so many bytes are rather copied than named one by one.
const JOINED_BYTES: usize = 4096;
/// Bytes of all such copies of a round.
const ALL_JOINED_BYTES: usize = 1 << 20;
/// Frames gathered before clients are written to. Bounds the memory of a round, and with it how
/// far a burst merges.
const ROUND_BYTES: usize = 4 << 20;
/// Spans gathered before clients are written to.
const ROUND_SPANS: usize = 1 << 18;
const NONE: u32 = u32::MAX;

/// Some bytes of the round's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// All that is from the first to the last of `spans`, which are neighbours.
    pub(crate) fn over(spans: &[Self]) -> Self {
        Self {
            start: spans.first().map_or(0, |span| span.start),
            end: spans.last().map_or(0, |span| span.end),
        }
    }

    pub(crate) const fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// What a shard sends in one round, and to whom.
pub(crate) struct Round {
    buffer: Buffer,
    /// Bytes of the buffer that are copies of others.
    joined: usize,
    spans: Vec<LinkedSpan>,
    dirty: Vec<ConnectionId>,
    /// The messages in the buffer, in order, if slow clients may be spared some.
    marks: Vec<Mark>,
}

/// A message in the buffer.
struct Mark {
    span: Span,
    fate: Fate,
}

struct LinkedSpan {
    span: Span,
    next: u32,
}

/// The spans of a client, in their order.
pub(crate) type Spans = SmallVec<[Span; 4]>;

impl Round {
    /// An empty round, whose bytes are charged to `ledger`.
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            buffer: Buffer::new(ledger, KEPT_BYTES),
            joined: 0,
            spans: Vec::new(),
            dirty: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Puts `frame` at the end of the buffer.
    pub(crate) fn append(&mut self, frame: &[u8]) -> Span {
        self.append_with(|buffer| buffer.extend_from_slice(frame))
    }

    /// Puts what `write` writes at the end of the buffer.
    pub(crate) fn append_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.offset();
        self.buffer.append_with(write);
        Span {
            start,
            end: self.offset(),
        }
    }

    /// Notes that a span of the buffer is a message, and what may become of it.
    pub(crate) fn mark(&mut self, span: Span, fate: Fate) {
        self.marks.push(Mark { span, fate });
    }

    /// The messages of `span`, and what is between them, each with what may become of it. A message
    /// whose beginning is missing has been written so far.
    pub(crate) fn pieces(&self, span: Span) -> impl Iterator<Item = (Span, Fate)> {
        let first = self
            .marks
            .partition_point(|mark| mark.span.end <= span.start);
        let mut marks = self.marks[first..].iter().peekable();
        let mut start = span.start;
        iter::from_fn(move || {
            if start == span.end {
                return None;
            }
            let (end, fate) = match marks.peek() {
                Some(mark) if mark.span.start == start => (mark.span.end, mark.fate.clone()),
                Some(mark) if mark.span.start < start => (mark.span.end, begun(&mark.fate)),
                Some(mark) => (mark.span.start, Fate::Begun),
                None if self.marks.is_empty() => (span.end, Fate::Kept),
                None => (span.end, Fate::Begun),
            };
            let end = end.min(span.end);
            marks.next_if(|mark| mark.span.end <= end);
            let piece = Span { start, end };
            start = end;
            Some((piece, fate))
        })
    }

    /// Gives the client with number `id` a span of the buffer.
    pub(crate) fn add(&mut self, id: ConnectionId, outbox: &mut Outbox, span: Span) {
        let next = self.spans.len() as u32;
        if let Some(last) = self.spans.get_mut(outbox.last as usize) {
            if last.span.end == span.start {
                last.span.end = span.end;
                return;
            }
            last.next = next;
        } else {
            outbox.first = next;
            self.dirty.push(id);
        }
        outbox.last = next;
        self.spans.push(LinkedSpan { span, next: NONE });
    }

    /// The spans of a client, which then has none.
    pub(crate) fn take(&self, outbox: &mut Outbox, spans: &mut Spans) {
        spans.clear();
        let mut at = mem::replace(&mut outbox.first, NONE);
        outbox.last = NONE;
        while let Some(linked) = self.spans.get(at as usize) {
            spans.push(linked.span);
            at = linked.next;
        }
    }

    /// Makes one span of several that have few bytes, by a copy at the end of the buffer.
    pub(crate) fn join(&mut self, spans: &mut Spans) {
        let length: usize = spans.iter().map(|span| span.len()).sum();
        let is_bounded = length <= JOINED_BYTES && self.joined + length <= ALL_JOINED_BYTES;
        if spans.len() < 2 || !is_bounded {
            return;
        }
        self.joined += length;
        let start = self.offset();
        self.buffer.append_with(|buffer| {
            for span in spans.drain(..) {
                buffer.extend_from_within(span.start as usize..span.end as usize);
            }
        });
        let end = self.offset();
        spans.push(Span { start, end });
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        &self.buffer[span.start as usize..span.end as usize]
    }

    /// The clients that have spans, each at least once.
    pub(crate) fn take_dirty(&mut self) -> Vec<ConnectionId> {
        mem::take(&mut self.dirty)
    }

    pub(crate) const fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Whether so much is in the round that clients are to be written to before more is gathered.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() > ROUND_BYTES || self.spans.len() > ROUND_SPANS
    }

    /// How many bytes all frames of the round have.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Ends the round. `dirty` comes back so that its memory is used again.
    pub(crate) fn finish(&mut self, mut dirty: Vec<ConnectionId>) {
        self.buffer.clear(KEPT_BYTES);
        self.joined = 0;
        self.spans.clear();
        self.marks.clear();
        dirty.clear();
        self.dirty = dirty;
    }

    /// Gives the buffer away, for those who still need parts of it.
    pub(crate) fn freeze(&mut self) -> Bytes {
        self.buffer.freeze()
    }

    /// Where the next frame begins. A round is written before it has 4 GiB: it is full long before,
    /// and no message is longer than `--max-message-bytes`, which the settings bound.
    fn offset(&self) -> u32 {
        u32::try_from(self.buffer.len()).unwrap_or(u32::MAX)
    }
}

/// What may become of a message with this fate that has begun to be written.
const fn begun(fate: &Fate) -> Fate {
    match fate {
        Fate::Kept => Fate::Kept,
        Fate::Begun | Fate::Oldest | Fate::Latest(_) => Fate::Begun,
    }
}

/// What waits for one client: spans of the current round, and what earlier rounds left over.
#[derive(Debug)]
pub(crate) struct Outbox {
    first: u32,
    last: u32,
    pending: Option<Box<Pending>>,
}

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self {
            first: NONE,
            last: NONE,
            pending: None,
        }
    }

    /// Whether earlier rounds left something over.
    pub(crate) const fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Bytes that earlier rounds left over.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.len())
    }

    /// Bytes that earlier rounds left over.
    pub(crate) fn pending(&self) -> Option<&Pending> {
        self.pending.as_deref()
    }

    /// Bytes that earlier rounds left over, of a client that has nothing in this round.
    pub(crate) fn into_pending(self) -> Option<Box<Pending>> {
        self.pending
    }

    /// Adds bytes to what earlier rounds left over. Returns whether they replace others.
    pub(crate) fn push(&mut self, bytes: Bytes, fate: Fate, now: Instant, ledger: &Ledger) -> bool {
        let pending = &mut self.pending;
        let pending = pending.get_or_insert_with(|| Box::new(Pending::new(ledger)));
        pending.push(bytes, fate, now)
    }

    /// Keeps the last bytes of a client, which are written or not.
    pub(crate) fn keep(&mut self, bytes: Bytes, ledger: &Ledger, now: Instant) {
        if !bytes.is_empty() {
            self.push(bytes, Fate::Begun, now, ledger);
        }
    }

    /// As [`Pending::thin`].
    pub(crate) fn thin(&mut self, room: &Room, now: Instant) -> (Thinned, Option<Limit>) {
        let pending = self.pending.as_mut();
        pending.map_or_else(Default::default, |pending| pending.thin(room, now))
    }

    /// As [`Pending::is_stalled`].
    pub(crate) fn is_stalled(&self, time: Duration, now: Instant) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| pending.is_stalled(time, now))
    }

    /// As [`Pending::oldest`].
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.pending.as_ref()?.oldest()
    }

    /// Takes away what is of no use any more, then lets `take` have of what earlier rounds left
    /// over. `None` if they left nothing.
    pub(crate) fn take_pending<R>(
        &mut self,
        now: Instant,
        take: impl FnOnce(&mut Pending) -> R,
    ) -> Option<Taken<R>> {
        let pending = self.pending.as_mut()?;
        let before = pending.len();
        let expired = pending.expire(now);
        let waiting = pending.len();
        let result = take(pending);
        let left = pending.len();
        if left == 0 {
            self.pending = None;
        } else if left < waiting {
            pending.note_taken(now);
        }
        Some(Taken {
            result,
            gone: before - left,
            taken: waiting - left,
            expired,
        })
    }
}

/// The part that was taken of what earlier rounds left over.
pub(crate) struct Taken<R> {
    pub(crate) result: R,
    /// Bytes that do not wait any more.
    pub(crate) gone: usize,
    /// How many of them were taken; the others were of no use any more.
    pub(crate) taken: usize,
    /// Messages that were of no use any more.
    pub(crate) expired: u64,
}

/// Writes the spans of a round. Returns how many of their bytes the socket took.
///
/// # Errors
/// The socket's own, but not that it takes no more.
pub(crate) fn write_spans(
    round: &Round,
    spans: &[Span],
    out: &mut impl io::Write,
) -> io::Result<usize> {
    let mut written = 0;
    for some in spans.chunks(SLICES_PER_WRITE) {
        let slices: SmallVec<[IoSlice<'_>; SLICES_PER_WRITE]> = some
            .iter()
            .map(|&span| IoSlice::new(round.bytes(span)))
            .collect();
        let length: usize = some.iter().map(|span| span.len()).sum();
        let Some(count) = write_some(out, &slices)? else {
            break;
        };
        written += count;
        if count < length {
            break;
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::delivery::limited_writer::LimitedWriter;

    #[test]
    fn neighbouring_frames_are_one_span() {
        let (mut round, mut outbox, mut spans) =
            (Round::new(&Ledger::default()), Outbox::new(), Spans::new());
        for frame in ["ab", "cd", "ef"] {
            let span = round.append(frame.as_bytes());
            round.add(ConnectionId(7), &mut outbox, span);
        }
        round.append(b"for another");
        let span = round.append(b"gh");
        round.add(ConnectionId(7), &mut outbox, span);
        assert_eq!(round.take_dirty(), [ConnectionId(7)]);
        round.take(&mut outbox, &mut spans);
        let texts: Vec<_> = spans.iter().map(|&span| round.bytes(span)).collect();
        assert_eq!(texts, [b"abcdef".as_slice(), b"gh"]);
        round.take(&mut outbox, &mut spans);
        assert!(spans.is_empty());
    }

    #[test]
    fn few_bytes_in_several_places_become_one_span() {
        let mut round = Round::new(&Ledger::default());
        let mut frame = |bytes: &[u8]| {
            let span = round.append(bytes);
            round.append(b"for another");
            span
        };
        let few = Spans::from_slice(&[frame(b"ab"), frame(b"cd"), frame(b"ef")]);
        let many = Spans::from_slice(&[frame(&[0; JOINED_BYTES]), frame(b"x")]);
        let mut spans = few;
        round.join(&mut spans);
        assert_eq!(spans.len(), 1);
        assert_eq!(round.bytes(spans[0]), b"abcdef");
        let mut spans = many;
        round.join(&mut spans);
        assert_eq!(spans.len(), 2);
    }

    #[test]
    fn a_short_write_says_how_far_it_came() {
        let (mut round, mut outbox, mut spans) =
            (Round::new(&Ledger::default()), Outbox::new(), Spans::new());
        for frame in ["abc", "-", "def"] {
            let span = round.append(frame.as_bytes());
            if frame != "-" {
                round.add(ConnectionId(7), &mut outbox, span);
            }
        }
        round.take(&mut outbox, &mut spans);
        let mut out = LimitedWriter {
            taken: Vec::new(),
            room: 4,
        };
        assert_eq!(
            write_spans(&round, &spans, &mut out).unwrap(),
            3,
            "one slice a call"
        );
        assert_eq!(out.taken, b"abc");
    }
}
