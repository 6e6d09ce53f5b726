//! Just enough of Redis's protocol, scanned by hand: what a subscriber and a publisher are sent.

/// One reply, borrowed from the bytes it was read from.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The answer to a `PUBLISH`: how many subscribers Redis gave it to.
    Integer(u64),
    /// A published message.
    Message {
        /// The Redis channel, key included.
        channel: &'a [u8],
        /// What was published.
        payload: &'a [u8],
    },
    /// A subscription confirmed.
    Subscribed,
    /// Redis refused.
    Error(&'a [u8]),
    /// Anything else.
    Other,
}

/// The reply at the start of `bytes` and its length, or `None` while it is incomplete.
#[must_use]
pub fn scan(bytes: &[u8]) -> Option<(Reply<'_>, usize)> {
    let mut scanner = Scanner { bytes, at: 0 };
    let line = scanner.line()?;
    let reply = match line.split_first()? {
        (b':', digits) => Reply::Integer(number(digits)? as u64),
        (b'-', message) => Reply::Error(message),
        (b'*', b"3") => scanner.push()?,
        _ => Reply::Other,
    };
    Some((reply, scanner.at))
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The three items of a push: its kind, the channel, and a payload or a count.
    fn push(&mut self) -> Option<Reply<'a>> {
        let kind = self.bulk()?;
        let channel = self.bulk()?;
        if kind == b"message" {
            let payload = self.bulk()?;
            return Some(Reply::Message { channel, payload });
        }
        self.line()?;
        Some(if kind == b"subscribe" {
            Reply::Subscribed
        } else {
            Reply::Other
        })
    }

    fn bulk(&mut self) -> Option<&'a [u8]> {
        let length = number(self.line()?.strip_prefix(b"$")?)?;
        let end = self.at + length;
        let bytes = self.bytes.get(self.at..end)?;
        if self.bytes.len() < end + 2 {
            return None;
        }
        self.at = end + 2;
        Some(bytes)
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let end = memchr::memchr(b'\n', rest)?;
        self.at += end + 1;
        Some(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]))
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_known_only_when_it_is_complete() {
        let bytes = b"*3\r\n$7\r\nmessage\r\n$3\r\nk:a\r\n$2\r\n{}\r\n";
        for end in 0..bytes.len() {
            assert_eq!(scan(&bytes[..end]), None, "{end} bytes");
        }
        let message = Reply::Message {
            channel: b"k:a",
            payload: b"{}",
        };
        assert_eq!(scan(bytes), Some((message, bytes.len())));
    }

    #[test]
    fn replies_follow_one_another() {
        let bytes = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n:27\r\n-ERR no\r\n";
        let (reply, first) = scan(bytes).unwrap();
        assert_eq!(reply, Reply::Subscribed);
        let (reply, second) = scan(&bytes[first..]).unwrap();
        assert_eq!(reply, Reply::Integer(27));
        let (reply, _) = scan(&bytes[first + second..]).unwrap();
        assert_eq!(reply, Reply::Error(b"ERR no"));
    }
}
