//! WebSocket frames, scanned and built by hand: the load must cost less than what it measures.

/// A whole text message in one frame, without a mask: what a server sends.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// Masking with zeros leaves the payload as it is; the server has to undo the mask all the same.
const MASK: [u8; 4] = [0; 4];

/// What a frame from the server holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole message, text or binary.
    Message,
    /// A ping of WebSocket's own.
    Ping,
    /// The server says goodbye.
    Close,
    /// Nothing that a server of this benchmark sends.
    Other,
}

/// Where the payload of a frame is, relative to the frame's first byte.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Where the payload begins.
    pub start: usize,
    /// Where it ends, and the next frame begins.
    pub end: usize,
}

/// The server's frame at the start of `bytes`, or `None` while it is incomplete.
#[must_use]
#[inline]
pub fn scan(bytes: &[u8]) -> Option<Found> {
    let [first, second, ..] = *bytes else {
        return None;
    };
    let (start, length) = match second {
        126 => {
            let length = bytes.get(2..4)?;
            (4, usize::from(u16::from_be_bytes([length[0], length[1]])))
        }
        127 => {
            let length: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
            (10, usize::try_from(u64::from_be_bytes(length)).ok()?)
        }
        length => (2, usize::from(length & 0x7f)),
    };
    let end = start + length;
    if bytes.len() < end {
        return None;
    }
    let kind = match first {
        TEXT | BINARY => Kind::Message,
        CLOSE => Kind::Close,
        PING => Kind::Ping,
        _ => Kind::Other,
    };
    Some(Found { kind, start, end })
}

/// Appends the header of a server's text frame with `length` bytes of payload.
pub fn server_header(length: usize, out: &mut Vec<u8>) {
    out.push(TEXT);
    push_length(length, 0, out);
}

/// Appends a client's text frame.
pub fn client_text(payload: &[u8], out: &mut Vec<u8>) {
    client_frame(TEXT, payload, out);
}

/// Appends a client's binary frame.
pub fn client_binary(payload: &[u8], out: &mut Vec<u8>) {
    client_frame(BINARY, payload, out);
}

fn client_frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    push_length(payload.len(), 0x80, out);
    out.extend_from_slice(&MASK);
    out.extend_from_slice(payload);
}

fn push_length(length: usize, mask: u8, out: &mut Vec<u8>) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => out.push(mask | short),
        (_, Ok(medium)) => {
            out.push(mask | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Undoes a client's mask and gives the payload's place, for a frame at the start of `bytes`.
pub fn unmask(bytes: &mut [u8]) -> Option<Found> {
    let [first, second, ..] = *bytes else {
        return None;
    };
    let (mask_at, length) = match second & 0x7f {
        126 => {
            let length = bytes.get(2..4)?;
            (4, usize::from(u16::from_be_bytes([length[0], length[1]])))
        }
        length => (2, usize::from(length)),
    };
    let start = mask_at + 4;
    let end = start + length;
    let mask: [u8; 4] = bytes.get(mask_at..start)?.try_into().ok()?;
    for (byte, key) in bytes
        .get_mut(start..end)?
        .iter_mut()
        .zip(mask.iter().cycle())
    {
        *byte ^= key;
    }
    let kind = match first {
        TEXT | BINARY => Kind::Message,
        CLOSE => Kind::Close,
        _ => Kind::Other,
    };
    Some(Found { kind, start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_frames_of_every_size_are_found_again() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            server_header(length, &mut bytes);
            let start = bytes.len();
            bytes.resize(start + length, b'x');
            let end = bytes.len();
            bytes.extend_from_slice(b"next");
            let kind = Kind::Message;
            assert_eq!(scan(&bytes), Some(Found { kind, start, end }));
            assert_eq!(scan(&bytes[..start.max(end) - 1]), None);
        }
    }

    #[test]
    fn client_frames_are_unmasked_again() {
        let mut bytes = Vec::new();
        client_text(b"40", &mut bytes);
        let found = unmask(&mut bytes).unwrap();
        assert_eq!(found.kind, Kind::Message);
        assert_eq!(&bytes[found.start..found.end], b"40");
    }
}
