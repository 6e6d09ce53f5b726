//! Messages between nodes that share a secret.
//!
//! ```text
//! 0xB8 | sequence, 8 bytes | MAC, 16 bytes | a message in one of its forms
//! ```
//!
//! The MAC is HMAC-SHA256, cut to its first half, of the receiving node's number (4 bytes), the
//! sequence and the message; numbers are big-endian. So a message that somebody else wrote, or that
//! was for another node, is not taken, and neither is one for the second time: the sequence of what
//! one node says to another only rises.

use std::fmt;

use bytes::{Buf, Bytes};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Unreadable;

/// The first byte of every authenticated message. No letter of the first form, and not the
/// envelope's.
pub(super) const MAGIC: u8 = 0xb8;
/// Bytes of a MAC: half of SHA-256, the least that RFC 2104 (section 5) lets be kept.
const MAC_BYTES: usize = 16;
/// Bytes before the message.
const HEAD_BYTES: usize = 1 + 8 + MAC_BYTES;

/// The secret that nodes share.
#[derive(Clone)]
pub struct SharedSecret(Hmac<Sha256>);

impl SharedSecret {
    /// A secret of any length.
    pub fn new(secret: &[u8]) -> Self {
        let keyed = Hmac::new_from_slice(secret);
        Self(keyed.expect("HMAC takes keys of any length (RFC 2104, section 2)"))
    }

    /// Wraps a message for the node `to`, which has been told fewer than `sequence` so far.
    pub fn wrap(&self, to: u32, sequence: u64, message: &[u8]) -> Vec<u8> {
        let mac = self.mac(to, sequence, message).finalize().into_bytes();
        let mut out = Vec::with_capacity(HEAD_BYTES + message.len());
        out.push(MAGIC);
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&mac[..MAC_BYTES]);
        out.extend_from_slice(message);
        out
    }

    /// Takes the sequence and the message out of what has come for the node `to`.
    ///
    /// # Errors
    /// [`Unreadable::MissingMac`] without a MAC, [`Unreadable::WrongMac`] with the MAC of
    /// another secret, node, sequence or message.
    pub fn unwrap(&self, to: u32, bytes: &Bytes) -> Result<(u64, Bytes), Unreadable> {
        if bytes.len() < HEAD_BYTES || bytes[0] != MAGIC {
            return Err(Unreadable::MissingMac);
        }
        let mut rest = bytes.slice(1..);
        let sequence = rest.get_u64();
        let mac = rest.split_to(MAC_BYTES);
        self.mac(to, sequence, &rest)
            .verify_truncated_left(&mac)
            .map_err(|_| Unreadable::WrongMac)?;
        Ok((sequence, rest))
    }

    fn mac(&self, to: u32, sequence: u64, message: &[u8]) -> Hmac<Sha256> {
        self.0
            .clone()
            .chain_update(to.to_be_bytes())
            .chain_update(sequence.to_be_bytes())
            .chain_update(message)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedSecret(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: u32 = 0x0102_0304;
    const MESSAGE: &[u8] = b"h\0\0\0\x01\0\0\0\0\0\0\0\0";

    fn secret() -> SharedSecret {
        SharedSecret::new(b"a secret of nodes")
    }

    #[test]
    fn a_message_is_taken_as_it_was_said_and_by_whom_it_is_for() {
        let wrapped = Bytes::from(secret().wrap(NODE, 7, MESSAGE));
        let (sequence, message) = secret().unwrap(NODE, &wrapped).unwrap();
        assert_eq!((sequence, &message[..]), (7, MESSAGE));
        assert_eq!(
            secret().unwrap(NODE + 1, &wrapped),
            Err(Unreadable::WrongMac)
        );
        let other = SharedSecret::new(b"another secret");
        assert_eq!(other.unwrap(NODE, &wrapped), Err(Unreadable::WrongMac));
    }

    #[test]
    fn every_byte_counts() {
        let wrapped = secret().wrap(NODE, 7, MESSAGE);
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(secret().unwrap(NODE, &changed.into()).is_err(), "byte {at}");
            let shortened = Bytes::copy_from_slice(&wrapped[..at]);
            assert!(secret().unwrap(NODE, &shortened).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn the_mac_is_hmac_sha256() {
        // As Python's `hmac` computes it, so that the form cannot change unseen.
        let wrapped = secret().wrap(NODE, 7, MESSAGE);
        let expected = [
            0xd9, 0x6c, 0xdf, 0xd1, 0x6c, 0x4c, 0x34, 0xbe, 0x85, 0x29, 0x0e, 0xe0, 0x32, 0x06,
            0xd3, 0xc9,
        ];
        assert_eq!(wrapped[9..25], expected);
    }

    #[test]
    fn a_message_without_a_mac_is_told_from_a_wrong_one() {
        for message in [&b""[..], MESSAGE, &[MAGIC], &[0xb7; 64]] {
            let found = secret().unwrap(NODE, &Bytes::copy_from_slice(message));
            assert_eq!(found, Err(Unreadable::MissingMac));
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", secret()), "SharedSecret(...)");
    }
}
