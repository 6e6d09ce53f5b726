//! Bytes that somebody else has made, and that are held here.

use bytes::Bytes;

use crate::ledger::{Charged, Ledger};

impl Ledger {
    /// Charges `bytes` until the last who shares them is gone.
    pub fn keep(&self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let held = bytes.len();
        Bytes::from_owner(Charged::new(bytes, held, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
