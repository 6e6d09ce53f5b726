//! What must hold for any input, in the fuzz target and in `cargo test` alike.

use bytes::{Bytes, BytesMut};
use womack_broker::Limits;
use womack_broker::resp::{Decoder, ProtocolError};

/// Decodes `data` in one piece and in two, which must make no difference, within small limits,
/// which must be kept. The first two bytes say where to cut.
pub(crate) fn check(data: &[u8]) {
    let [high, low, input @ ..] = data else {
        return;
    };
    let cut = usize::from(u16::from_be_bytes([*high, *low])) % (input.len() + 1);
    let whole = decode(&[input]);
    let pieces = decode(&[&input[..cut], &input[cut..]]);
    assert_eq!(whole, pieces, "cut at {cut}");

    let limits = limits();
    for command in whole.0 {
        assert!(!command.is_empty());
        assert!(command.len() <= input.len());
        let bytes: usize = command.iter().map(Bytes::len).sum();
        assert!(bytes <= input.len());
        // A line has a limit of its own.
        assert!(bytes <= limits.max_command_bytes.max(64 * 1024));
    }
}

/// All commands up to the first error, and the error.
pub(crate) fn decode(pieces: &[&[u8]]) -> (Vec<Vec<Bytes>>, Option<ProtocolError>) {
    let mut decoder = Decoder::new(&limits());
    let mut input = BytesMut::new();
    let mut commands = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(command)) => commands.push(command),
                Ok(None) => break,
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_command_bytes = 1000;
    limits.max_command_arguments = 100;
    limits
}
