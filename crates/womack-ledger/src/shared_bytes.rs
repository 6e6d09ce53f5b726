//! Bytes that somebody else has made, and that are held here.

use bytes::Bytes;

use crate::ledger::{Charge, Ledger};

impl Ledger {
    /// Charges `bytes` until the last who shares them is gone.
    pub fn keep(&self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let charge = self.hold(bytes.len());
        Bytes::from_owner(KeptBytes {
            bytes,
            _charge: charge,
        })
    }
}

struct KeptBytes {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for KeptBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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
