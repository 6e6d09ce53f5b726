//! What waits to be sent to one client.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes};

/// Slices handed to one write.
pub(crate) const BATCH: usize = 64;

/// Capacity for chunks that an empty outbox keeps.
const KEPT_CHUNKS: usize = 256;

/// Chunks in the order in which they were pushed, counted and limited.
///
/// While a command runs, what is published to its own client is held back, so that it follows the
/// reply rather than splitting it.
#[derive(Debug)]
pub(crate) struct Outbox {
    chunks: VecDeque<Bytes>,
    held: Vec<Bytes>,
    holding: bool,
    /// Bytes of all chunks, their bookkeeping included.
    bytes: usize,
    max_bytes: usize,
    overflowed: bool,
}

impl Outbox {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            held: Vec::new(),
            holding: false,
            bytes: 0,
            max_bytes,
            overflowed: false,
        }
    }

    /// The most bytes that may wait.
    pub(crate) const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub(crate) fn hold(&mut self) {
        self.holding = true;
    }

    /// Ends `hold`: the reply first, then what was held back.
    pub(crate) fn release(&mut self, reply: Bytes) {
        self.holding = false;
        let held = mem::take(&mut self.held);
        if !reply.is_empty() {
            self.push(reply);
        }
        if !self.overflowed {
            self.chunks.extend(held);
        }
    }

    /// Adds a chunk. The one that passes the limit empties the outbox for good.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.overflowed {
            return;
        }
        self.bytes += cost(&chunk);
        if self.bytes > self.max_bytes {
            self.overflow();
        } else if self.holding {
            self.held.push(chunk);
        } else {
            self.chunks.push_back(chunk);
        }
    }

    /// Gives up on this client, whatever still waits.
    pub(crate) fn overflow(&mut self) {
        self.overflowed = true;
        self.chunks = VecDeque::new();
        self.held = Vec::new();
        self.bytes = 0;
    }

    /// The next bytes to write, as many slices of them as `slices` holds.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let waiting = self.chunks.iter().zip(slices.iter_mut());
        for (chunk, slice) in waiting {
            *slice = IoSlice::new(chunk);
        }
        self.chunks.len().min(slices.len())
    }

    /// Forgets the first `written` bytes.
    pub(crate) fn consume(&mut self, mut written: usize) {
        while let Some(chunk) = self.chunks.front_mut() {
            if written < chunk.len() {
                chunk.advance(written);
                self.bytes -= written;
                return;
            }
            written -= chunk.len();
            self.bytes -= cost(chunk);
            self.chunks.pop_front();
        }
        self.chunks.shrink_to(KEPT_CHUNKS);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Chunks waiting, for `CLIENT LIST`.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Bytes waiting, for `CLIENT LIST`.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(chunk: &Bytes) -> usize {
    chunk.len() + size_of::<Bytes>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(outbox: &Outbox) -> Vec<u8> {
        outbox.chunks.iter().flatten().copied().collect()
    }

    #[test]
    fn short_writes_leave_the_rest_in_order() {
        let mut outbox = Outbox::new(1024);
        outbox.push(Bytes::from_static(b"abc"));
        outbox.push(Bytes::from_static(b"def"));
        outbox.consume(2);
        assert_eq!(waiting(&outbox), b"cdef");
        outbox.consume(3);
        assert_eq!(waiting(&outbox), b"f");
        outbox.consume(1);
        assert!(outbox.is_empty());
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn what_is_pushed_during_a_command_follows_its_reply() {
        let mut outbox = Outbox::new(1024);
        outbox.hold();
        outbox.push(Bytes::from_static(b"message"));
        outbox.release(Bytes::from_static(b"reply "));
        outbox.push(Bytes::from_static(b" next"));
        assert_eq!(waiting(&outbox), b"reply message next");
    }

    #[test]
    fn the_chunk_over_the_limit_empties_the_outbox() {
        let mut outbox = Outbox::new(2 * size_of::<Bytes>() + 5);
        outbox.push(Bytes::from_static(b"abc"));
        outbox.push(Bytes::from_static(b"de"));
        assert!(!outbox.overflowed());
        outbox.push(Bytes::from_static(b"f"));
        assert!(outbox.overflowed());
        assert!(outbox.is_empty());
    }
}
