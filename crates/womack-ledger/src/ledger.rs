//! An account of the bytes that are held for others, and the types that hold them.
//!
//! A [`Ledger`] is a number that only grows and shrinks; the sum of all ledgers is the memory in
//! use. Whatever is held because of a client, a publisher or another node is a [`Buffer`], a
//! [`Charged`] value or has a [`Charge`] beside it, so that it cannot be there without being
//! counted, and is counted no longer when it is dropped. Bytes that several clients wait for stand
//! in one buffer, and are counted once, for as long as the last of them needs it.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

/// The bytes that are held on one account, such as that of a shard.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<AtomicUsize>);

impl Ledger {
    /// Adds bytes that are held from now on.
    pub fn charge(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes off bytes that are held no longer.
    pub fn release(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Charges so many bytes until the charge is dropped.
    pub fn hold(&self, bytes: usize) -> Charge {
        self.charge(bytes);
        Charge {
            ledger: self.clone(),
            bytes,
        }
    }

    /// Makes a buffer shareable that is charged until the last who shares it is gone.
    pub fn share(&self, buffer: Vec<u8>) -> Bytes {
        let bytes = buffer.capacity();
        Bytes::from_owner(Charged::new(buffer, bytes, self))
    }

    /// Charges bytes that somebody else has made until the last who shares them is gone.
    pub fn keep(&self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let held = bytes.len();
        Bytes::from_owner(Charged::new(bytes, held, self))
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that are charged to a ledger, for as long as this is there.
#[derive(Debug)]
pub struct Charge {
    ledger: Ledger,
    bytes: usize,
}

impl Charge {
    /// Changes how many bytes are charged.
    pub fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            // Charged first, so that the ledger never shows less than is held.
            self.ledger.charge(bytes);
            self.ledger
                .release(std::mem::replace(&mut self.bytes, bytes));
        }
    }

    /// Charges so many bytes more.
    pub fn add(&mut self, bytes: usize) {
        self.ledger.charge(bytes);
        self.bytes += bytes;
    }

    /// Bytes that are charged.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.release(self.bytes);
    }
}

/// A value that is charged for as long as it is kept.
#[derive(Debug)]
pub struct Charged<T> {
    value: T,
    charge: Charge,
}

impl<T> Charged<T> {
    /// Keeps `value`, which takes so many bytes of the memory.
    pub fn new(value: T, bytes: usize, ledger: &Ledger) -> Self {
        Self {
            value,
            charge: ledger.hold(bytes),
        }
    }

    /// Charges so many bytes more.
    pub fn add(&mut self, bytes: usize) {
        self.charge.add(bytes);
    }

    /// The value, which is kept no longer.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Charged<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Charged<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Charged<T> {
    fn as_ref(&self) -> &[u8] {
        self.value.as_ref()
    }
}

/// A buffer that is charged as it grows.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// So many bytes are charged elsewhere, whether they are there or not.
    flat: usize,
    charge: Charge,
}

impl Buffer {
    /// An empty buffer, whose bytes beyond `flat` are charged to `ledger`: the others are part of a
    /// flat charge.
    pub fn new(ledger: &Ledger, flat: usize) -> Self {
        Self {
            bytes: Vec::new(),
            flat,
            charge: ledger.hold(0),
        }
    }

    /// Appends what `write` appends to the bytes.
    pub fn append_with<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let result = write(&mut self.bytes);
        self.settle();
        result
    }

    /// Cuts the buffer off behind its first `len` bytes. It keeps its memory.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Empties the buffer, and lets go of what is beyond `kept` bytes of its memory.
    pub fn clear(&mut self, kept: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(kept);
        self.settle();
    }

    /// Takes the bytes out, which are charged until the last who shares them is gone.
    pub fn freeze(&mut self) -> Bytes {
        let buffer = std::mem::take(&mut self.bytes);
        let bytes = self.charge.ledger.share(buffer);
        self.settle();
        bytes
    }

    fn settle(&mut self) {
        self.charge
            .set(self.bytes.capacity().saturating_sub(self.flat));
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_counted_once_and_until_nobody_needs_it() {
        let ledger = Ledger::default();
        let buffer = ledger.share(vec![7; 1000]);
        let parts = [buffer.slice(..10), buffer.slice(500..)];
        assert_eq!(ledger.bytes(), 1000);
        drop(buffer);
        let [first, second] = parts;
        drop(first);
        assert_eq!((ledger.bytes(), second.len()), (1000, 500));
        drop(second);
        assert_eq!(ledger.bytes(), 0);
    }

    #[test]
    fn bytes_of_others_are_charged_while_they_are_held() {
        let ledger = Ledger::default();
        let kept = ledger.keep(Bytes::from_static(b"0123456789"));
        let part = kept.slice(2..4);
        drop(kept);
        assert_eq!((ledger.bytes(), &part[..]), (10, &b"23"[..]));
        drop(part);
        assert_eq!(ledger.bytes(), 0);
        assert_eq!(ledger.keep(Bytes::new()).len() + ledger.bytes(), 0);
    }

    #[test]
    fn a_buffer_is_charged_as_it_grows_and_whole_when_it_is_shared() {
        let ledger = Ledger::default();
        let mut buffer = Buffer::new(&ledger, 100);
        buffer.append_with(|bytes| bytes.resize(100, 1));
        assert_eq!(ledger.bytes(), 0, "charged elsewhere");
        buffer.append_with(|bytes| bytes.resize(5000, 1));
        assert!(ledger.bytes() >= 4900);
        buffer.clear(100);
        assert!(ledger.bytes() < 100 && buffer.is_empty());
        buffer.append_with(|bytes| bytes.resize(5000, 1));
        let shared = buffer.freeze();
        assert!(ledger.bytes() >= 5000 && buffer.is_empty() && shared.len() == 5000);
        drop((shared, buffer));
        assert_eq!(ledger.bytes(), 0);
    }

    #[test]
    fn a_value_is_charged_until_it_is_dropped_or_taken() {
        let ledger = Ledger::default();
        let mut kept = Charged::new("name".to_owned(), 64, &ledger);
        kept.add(36);
        assert_eq!((ledger.bytes(), kept.as_str()), (100, "name"));
        assert_eq!(kept.into_inner(), "name");
        assert_eq!(ledger.bytes(), 0);
    }
}
