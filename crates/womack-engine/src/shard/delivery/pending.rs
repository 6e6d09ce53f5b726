//! What a client has still to take, and what becomes of it when that is too much.
//!
//! A socket that takes everything at once has no such queue. One that does not has a chunk for each
//! message, if messages may make room for one another; otherwise for each run of bytes. What has
//! begun to be written is written to its end.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{Hash, Hasher},
    io::{self, IoSlice},
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::RandomState;
use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use womack_ledger::{Charge, Ledger, Limit};

use crate::{
    command::Note,
    limits::Limits,
    metrics::Metrics,
    shard::io::vectored::{SLICES_PER_WRITE, write_some},
};

/// What a chunk takes beside its bytes.
const CHUNK_BYTES: usize = 128;
/// What a chunk takes more that a later one may replace.
const KEYED_BYTES: usize = 192;

/// What may become of a chunk when its client reads too slowly.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It is written, or the connection ends.
    Kept,
    /// It is written, and does not count as waiting: what the session says, or what has begun.
    Begun,
    /// It makes room for later ones.
    Oldest,
    /// A later one with the same key takes its place, and at some time it is of no use.
    Latest(Arc<Note>),
}

/// What may wait for one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
    pub(crate) time: Option<Duration>,
}

impl Room {
    pub(crate) fn of(limits: &Limits) -> Self {
        let most = |limit| if limit == 0 { usize::MAX } else { limit };
        Self {
            bytes: limits.max_client_queue_bytes,
            messages: most(limits.max_client_queue_messages),
            time: limits.max_client_queue_time,
        }
    }
}

/// Messages that a client does not get.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Thinned {
    pub(crate) oldest: u64,
    pub(crate) replaced: u64,
    pub(crate) expired: u64,
}

impl Thinned {
    /// Notes it all in the metrics.
    pub(crate) fn count(self, metrics: &Metrics) {
        metrics.deliveries.spared("oldest", self.oldest);
        metrics.deliveries.spared("replaced", self.replaced);
        metrics.deliveries.spared("expired", self.expired);
    }
}

impl std::ops::AddAssign for Thinned {
    fn add_assign(&mut self, other: Self) {
        self.oldest += other.oldest;
        self.replaced += other.replaced;
        self.expired += other.expired;
    }
}

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    since: Instant,
    fate: Fate,
}

/// A message that a later one with the same channel, topic and key replaces.
#[derive(Debug)]
struct Keyed(Arc<Note>);

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        a.topic == b.topic && a.key == b.key && a.channel == b.channel
    }
}

impl Eq for Keyed {}

impl Hash for Keyed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.0.channel, &self.0.key).hash(state);
    }
}

/// What a client's socket, or its next poll, has still to take.
#[derive(Debug)]
pub(crate) struct Pending {
    /// In their order, by numbers that are never given again.
    chunks: BTreeMap<u64, Chunk>,
    next: u64,
    bytes: usize,
    keyed: HashMap<Keyed, u64, RandomState>,
    /// When the first of those that expire does, at the earliest.
    next_expiry: Option<Instant>,
    /// When something was taken last, or the first bytes came.
    moved: Option<Instant>,
    charge: Charge,
}

impl Pending {
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            chunks: BTreeMap::new(),
            next: 0,
            bytes: 0,
            keyed: HashMap::default(),
            next_expiry: None,
            moved: None,
            charge: ledger.hold(0),
        }
    }

    /// Adds bytes, at the end unless they take the place of others. Whether they do.
    pub(crate) fn push(&mut self, bytes: Bytes, fate: Fate, now: Instant) -> bool {
        self.bytes += bytes.len();
        if self.chunks.is_empty() {
            self.moved = Some(now);
        }
        if let Fate::Latest(note) = &fate {
            if let Some(expires) = note.expires {
                self.next_expiry = Some(self.next_expiry.map_or(expires, |at| at.min(expires)));
            }
            if note.key.is_some() {
                let place = self.keyed.entry(Keyed(note.clone()));
                if let Some(chunk) = self.chunks.get_mut(place.or_insert(self.next)) {
                    self.bytes -= chunk.bytes.len();
                    (chunk.bytes, chunk.fate) = (bytes, fate);
                    return true;
                }
            }
        }
        let since = now;
        self.chunks.insert(self.next, Chunk { bytes, since, fate });
        self.next += 1;
        self.settle_charge();
        false
    }

    /// Something was taken.
    pub(crate) const fn note_taken(&mut self, now: Instant) {
        self.moved = Some(now);
    }

    /// Whether nothing was taken for `time`.
    pub(crate) fn is_stalled(&self, time: Duration, now: Instant) -> bool {
        self.moved
            .is_some_and(|moved| now.saturating_duration_since(moved) >= time)
    }

    /// How many bytes wait.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    /// The bytes, in their order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.values().map(|chunk| &*chunk.bytes)
    }

    /// Since when the oldest message waits.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let waits = |chunk: &&Chunk| !matches!(chunk.fate, Fate::Begun);
        self.chunks.values().find(waits).map(|chunk| chunk.since)
    }

    /// Takes the first `count` bytes away.
    pub(crate) fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(mut first) = self.chunks.first_entry() {
            let chunk = first.get_mut();
            if chunk.bytes.len() > count {
                chunk.bytes.advance(count);
                if count > 0 {
                    self.begin();
                }
                return;
            }
            count -= chunk.bytes.len();
            self.take_first();
        }
    }

    /// Takes up to `most` bytes from the beginning.
    pub(crate) fn take(&mut self, most: usize) -> Option<Bytes> {
        let mut first = self.chunks.first_entry()?;
        let chunk = first.get_mut();
        let taken = chunk.bytes.split_to(chunk.bytes.len().min(most));
        let is_done = chunk.bytes.is_empty();
        self.bytes -= taken.len();
        if is_done {
            self.take_first();
        } else {
            self.begin();
        }
        Some(taken)
    }

    /// Takes away what is of no use any more. Returns how many messages that were.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        if self.next_expiry.is_none_or(|next| now < next) {
            return 0;
        }
        let expiries = self.chunks.iter().filter_map(|(number, chunk)| {
            let Fate::Latest(note) = &chunk.fate else {
                return None;
            };
            Some((*number, note.expires?))
        });
        let (expired, rest): (Vec<_>, Vec<_>) = expiries.partition(|(_, at)| *at <= now);
        self.next_expiry = rest.into_iter().map(|(_, at)| at).min();
        for (number, _) in &expired {
            self.remove(*number);
        }
        expired.len() as u64
    }

    /// Takes away what may go until the rest has `room`. Returns how much went, and the limit that
    /// is passed all the same.
    pub(crate) fn thin(&mut self, room: &Room, now: Instant) -> (Thinned, Option<Limit>) {
        let mut thinned = Thinned {
            expired: self.expire(now),
            ..Thinned::default()
        };
        let is_late = |since: Instant| {
            let waited = now.saturating_duration_since(since);
            room.time.is_some_and(|most| waited > most)
        };
        let (mut bytes, mut messages) = (self.bytes, self.chunks.len());
        let mut victims = Vec::new();
        for (number, chunk) in &self.chunks {
            if bytes <= room.bytes && messages <= room.messages && !is_late(chunk.since) {
                break;
            }
            if let Fate::Oldest = chunk.fate {
                victims.push(*number);
                bytes -= chunk.bytes.len();
                messages -= 1;
            }
        }
        thinned.oldest = victims.len() as u64;
        for number in victims {
            self.remove(number);
        }
        let passed = if self.bytes > room.bytes {
            Some(Limit::MaxClientQueueBytes)
        } else if self.chunks.len() > room.messages {
            Some(Limit::MaxClientQueueMessages)
        } else if self.oldest().is_some_and(is_late) {
            Some(Limit::MaxClientQueueSeconds)
        } else {
            None
        };
        (thinned, passed)
    }

    /// Writes what the socket takes. True when nothing is left.
    ///
    /// # Errors
    /// The socket's own, but not that it takes no more.
    pub(crate) fn write_to(&mut self, out: &mut impl io::Write) -> io::Result<bool> {
        while !self.chunks.is_empty() {
            let chunks = self.chunks().take(SLICES_PER_WRITE);
            let slices: SmallVec<[IoSlice<'_>; SLICES_PER_WRITE]> =
                chunks.map(IoSlice::new).collect();
            let written = write_some(out, &slices)?;
            drop(slices);
            match written {
                Some(count) => self.advance(count),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn settle_charge(&mut self) {
        let chunks = self.chunks.len() * CHUNK_BYTES;
        self.charge.set(chunks + self.keyed.len() * KEYED_BYTES);
    }

    /// The first chunk has begun to be written.
    fn begin(&mut self) {
        let Some(mut first) = self.chunks.first_entry() else {
            return;
        };
        // One that must be written anyway counts as before.
        if !matches!(first.get().fate, Fate::Kept) {
            let fate = std::mem::replace(&mut first.get_mut().fate, Fate::Begun);
            self.forget(fate);
        }
    }

    fn take_first(&mut self) {
        if let Some((_, chunk)) = self.chunks.pop_first() {
            self.forget(chunk.fate);
        }
        self.settle_charge();
    }

    fn remove(&mut self, number: u64) {
        if let Some(chunk) = self.chunks.remove(&number) {
            self.bytes -= chunk.bytes.len();
            self.forget(chunk.fate);
        }
        self.settle_charge();
    }

    /// A message with this fate is not replaced any more.
    fn forget(&mut self, fate: Fate) {
        if let Fate::Latest(note) = fate {
            self.keyed.remove(&Keyed(note));
        }
    }
}

#[cfg(test)]
mod tests;
