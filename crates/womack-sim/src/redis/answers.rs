//! Replies and pushes of a server, as bytes.

/// Replies and pushes that are still to be sent.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) bytes: Vec<u8>,
}

impl Answers {
    pub(super) fn add(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn error(&mut self, text: &str) {
        self.add(&format!("-{text}\r\n"));
    }

    pub(super) fn number(&mut self, number: u64) {
        self.add(&format!(":{number}\r\n"));
    }

    pub(super) fn array(&mut self, length: usize) {
        self.add(&format!("*{length}\r\n"));
    }

    pub(super) fn bulk(&mut self, text: &str) {
        self.add(&format!("${}\r\n{text}\r\n", text.len()));
    }

    /// A message that was published.
    pub(super) fn message(&mut self, speaks_resp3: bool, words: [&str; 2], payload: &[u8]) {
        self.push(speaks_resp3, 3, &words);
        self.add(&format!("${}\r\n", payload.len()));
        self.bytes.extend_from_slice(payload);
        self.add("\r\n");
    }

    /// Something that nobody asked for: a message, or a confirmation but for its last element.
    pub(super) fn push(&mut self, speaks_resp3: bool, length: usize, words: &[&str]) {
        let sign = if speaks_resp3 { '>' } else { '*' };
        self.add(&format!("{sign}{length}\r\n"));
        for word in words {
            self.bulk(word);
        }
    }
}
