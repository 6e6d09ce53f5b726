//! What must hold for any bytes that Redis sends: the fuzz target and the tests run this.

use bytes::BytesMut;
use womack_redis::resp::{Decoder, Reply};

/// The most that a message may have.
const MAX_MESSAGE_BYTES: usize = 100;

/// Whether it comes at once or byte by byte, the same is understood, and no part of a reply lies
/// outside it.
pub(crate) fn replies(data: &[u8]) {
    let mut decoder = Decoder::default();
    let mut whole = BytesMut::from(data);
    let mut at_once = Vec::new();
    let at_once_ends = loop {
        match decoder.decode(&mut whole, MAX_MESSAGE_BYTES) {
            Ok(Some(reply)) => at_once.push(reply),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    for reply in &at_once {
        match reply {
            Reply::Message(message) => {
                assert!(message.payload().len() <= MAX_MESSAGE_BYTES);
                let parts = message.channel().len() + message.payload().len();
                assert!(parts < message.wire_bytes());
            }
            Reply::Text(text) => assert!(text.len() < data.len()),
            _ => {}
        }
    }
    let mut decoder = Decoder::default();
    let mut input = BytesMut::new();
    let mut in_pieces = Vec::new();
    for byte in data {
        input.extend_from_slice(&[*byte]);
        match decoder.decode(&mut input, MAX_MESSAGE_BYTES) {
            Ok(Some(reply)) => in_pieces.push(reply),
            Ok(None) => {}
            Err(_) => {
                assert!(at_once_ends);
                break;
            }
        }
    }
    assert_eq!(in_pieces, at_once);
}
