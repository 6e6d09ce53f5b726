//! Answers of HTTP/1.1 servers, scanned by hand.

/// An answer: where its body is, and where the answer ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether its status says that all is well.
    pub ok: bool,
    /// Where the body begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Answer {
    /// The answer at the start of `bytes`, or `None` while it is incomplete.
    #[must_use]
    pub fn scan(bytes: &[u8]) -> Option<Self> {
        let start = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
        let head = str::from_utf8(&bytes[..start]).ok()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok())?
        });
        let end = start + length.unwrap_or(0);
        let ok = head.starts_with("HTTP/1.1 2");
        (bytes.len() >= end).then_some(Self { ok, start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_found_when_its_body_is_there() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(Answer::scan(&bytes[..bytes.len() - 1]), None);
        let (ok, start, end) = (true, bytes.len() - 2, bytes.len());
        assert_eq!(Answer::scan(bytes), Some(Answer { ok, start, end }));
    }

    #[test]
    fn refusal_is_not_ok() {
        let answer = Answer::scan(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert!(answer.is_some_and(|answer| !answer.ok));
    }
}
