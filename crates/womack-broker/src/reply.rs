//! RESP replies: one interface, written in the protocol version that the client chose.

use std::mem;

use bytes::{BufMut, Bytes, BytesMut};

/// The version of RESP that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Resp2 = 2,
    Resp3 = 3,
}

/// The reply to one command, which may be several values, or none.
#[derive(Debug)]
pub(crate) struct Reply {
    bytes: BytesMut,
    max_bytes: usize,
    /// Set once a value did not fit; the reply is then of no use.
    overflowed: bool,
    /// Values are not written while this is set (`CLIENT REPLY OFF`).
    pub(crate) muted: bool,
    pub(crate) protocol: Protocol,
}

impl Reply {
    pub(crate) fn new(protocol: Protocol, max_bytes: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            max_bytes,
            overflowed: false,
            muted: false,
            protocol,
        }
    }

    pub(crate) fn ok(&mut self) {
        self.simple("OK");
    }

    /// `text` is ours, never a client's: it has no line ends.
    pub(crate) fn simple(&mut self, text: &str) {
        self.write(&[b"+", text.as_bytes(), b"\r\n"]);
    }

    /// An error without a code of its own, which is `ERR`.
    pub(crate) fn error(&mut self, text: impl AsRef<[u8]>) {
        self.error_with_code("ERR", text);
    }

    /// Line ends in `text`, which may quote the client, become spaces.
    pub(crate) fn error_with_code(&mut self, code: &str, text: impl AsRef<[u8]>) {
        let mut text = text.as_ref().to_vec();
        for byte in &mut text {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.write(&[b"-", code.as_bytes(), b" ", &text, b"\r\n"]);
    }

    pub(crate) fn integer(&mut self, value: impl TryInto<i64>) {
        // Counts of what is in memory fit; nothing else is ever sent.
        let value = value.try_into().unwrap_or(i64::MAX);
        self.write(&[b":", value.to_string().as_bytes(), b"\r\n"]);
    }

    pub(crate) fn bulk(&mut self, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let length = value.len().to_string();
        self.write(&[b"$", length.as_bytes(), b"\r\n", value, b"\r\n"]);
    }

    /// Text for people; RESP3 has a type for it.
    pub(crate) fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                let length = (text.len() + 4).to_string();
                let text = text.as_bytes();
                self.write(&[b"=", length.as_bytes(), b"\r\ntxt:", text, b"\r\n"]);
            }
        }
    }

    pub(crate) fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.write(&[b"$-1\r\n"]),
            Protocol::Resp3 => self.write(&[b"_\r\n"]),
        }
    }

    /// Announces the `len` values that follow, as do the next three.
    pub(crate) fn array(&mut self, len: usize) {
        self.header("*", len);
    }

    pub(crate) fn set(&mut self, len: usize) {
        self.header(self.resp3_or_array("~"), len);
    }

    pub(crate) fn push(&mut self, len: usize) {
        self.header(self.resp3_or_array(">"), len);
    }

    /// Announces `len` pairs.
    pub(crate) fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len * 2),
            Protocol::Resp3 => self.header("%", len),
        }
    }

    /// Writes what `write` writes even while muted: what a subscription causes is not a reply.
    pub(crate) fn unmuted(&mut self, write: impl FnOnce(&mut Self)) {
        let muted = mem::replace(&mut self.muted, false);
        write(self);
        self.muted = muted;
    }

    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes.freeze()
    }

    fn resp3_or_array(&self, mark: &'static str) -> &'static str {
        match self.protocol {
            Protocol::Resp2 => "*",
            Protocol::Resp3 => mark,
        }
    }

    fn header(&mut self, mark: &str, len: usize) {
        self.write(&[mark.as_bytes(), len.to_string().as_bytes(), b"\r\n"]);
    }

    fn write(&mut self, parts: &[&[u8]]) {
        if self.muted || self.overflowed {
            return;
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.bytes.len() + length > self.max_bytes {
            self.overflowed = true;
            return;
        }
        self.bytes.reserve(length);
        for part in parts {
            self.bytes.put_slice(part);
        }
    }
}
