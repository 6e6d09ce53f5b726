//! Just enough of NATS's protocol, scanned by hand: what a subscriber and a publisher are sent.

/// One operation of the server, borrowed from the bytes it was read from.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// The server introduces itself.
    Info,
    /// It wants to know whether this side is alive.
    Ping,
    /// It has handled everything before the ping.
    Pong,
    /// A published message.
    Message {
        /// The subject.
        subject: &'a [u8],
        /// What was published.
        payload: &'a [u8],
    },
    /// It refused.
    Error(&'a [u8]),
}

/// The operation at the start of `bytes` and its length, or `None` while it is incomplete.
#[must_use]
#[inline]
pub fn scan(bytes: &[u8]) -> Option<(Operation<'_>, usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let at = end + 1;
    let operation = match line {
        // `MSG <subject> <subscription> <length>`
        [b'M', b'S', b'G', b' ', rest @ ..] => {
            let mut words = rest.split(|&byte| byte == b' ');
            let subject = words.next()?;
            let length: usize = str::from_utf8(words.next_back()?).ok()?.parse().ok()?;
            let payload = bytes.get(at..at + length)?;
            let message = Operation::Message { subject, payload };
            let end = at + length + 2;
            return (bytes.len() >= end).then_some((message, end));
        }
        [b'I', b'N', b'F', b'O', ..] => Operation::Info,
        b"PING" => Operation::Ping,
        b"PONG" => Operation::Pong,
        other => Operation::Error(other),
    };
    Some((operation, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_known_only_when_it_is_complete() {
        let bytes = b"MSG c00001 1 2\r\n{}\r\n";
        for end in 0..bytes.len() {
            assert_eq!(scan(&bytes[..end]), None, "{end} bytes");
        }
        let message = Operation::Message {
            subject: b"c00001",
            payload: b"{}",
        };
        assert_eq!(scan(bytes), Some((message, bytes.len())));
    }

    #[test]
    fn operations_follow_one_another() {
        let bytes = b"INFO {\"version\":\"2\"} \r\nPONG\r\n-ERR 'no'\r\n";
        let (operation, first) = scan(bytes).unwrap();
        assert_eq!(operation, Operation::Info);
        let (operation, second) = scan(&bytes[first..]).unwrap();
        assert_eq!(operation, Operation::Pong);
        let (operation, _) = scan(&bytes[first + second..]).unwrap();
        assert_eq!(operation, Operation::Error(b"-ERR 'no'"));
    }
}
