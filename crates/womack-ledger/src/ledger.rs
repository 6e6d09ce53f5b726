//! A shard's account of the bytes that it holds.
//!
//! A [`Ledger`] is a number that only grows and shrinks; the sum of all ledgers is the memory in
//! use. Bytes that several clients wait for stand in one buffer, and are counted once, for as long
//! as the last of them needs it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// The bytes that one shard's clients hold.
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
        let charge = self.hold(buffer.capacity());
        Bytes::from_owner(Charged {
            buffer,
            _charge: charge,
        })
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that are charged to a ledger.
#[derive(Debug)]
pub struct Charge {
    ledger: Ledger,
    bytes: usize,
}

impl Charge {
    /// Changes how many bytes are charged.
    pub fn set(&mut self, bytes: usize) {
        self.ledger.charge(bytes);
        self.ledger
            .release(std::mem::replace(&mut self.bytes, bytes));
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

struct Charged {
    buffer: Vec<u8>,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
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
}
