//! What must hold for any bytes that Redis sends: the fuzz target and the tests run this.

use bytes::BytesMut;
use womack_redis::resp::{Reply, decode};

/// Whether it comes at once or byte by byte, the same is understood, and no part of a reply lies
/// outside it.
pub(crate) fn replies(data: &[u8]) {
    let mut whole = BytesMut::from(data);
    let mut at_once = Vec::new();
    let at_once_ends = loop {
        match decode(&mut whole) {
            Ok(Some(reply)) => at_once.push(reply),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    for reply in &at_once {
        match reply {
            Reply::Message(message) => {
                let parts = message.channel().len() + message.payload().len();
                assert!(parts < message.wire_bytes());
            }
            Reply::Text(text) => assert!(text.len() < data.len()),
            _ => {}
        }
    }
    let mut input = BytesMut::new();
    let mut in_pieces = Vec::new();
    for byte in data {
        input.extend_from_slice(&[*byte]);
        match decode(&mut input) {
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
