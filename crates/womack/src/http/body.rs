//! The body of a response.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Either;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use womack_ledger::Ledger;

use super::event_body::EventBody;

/// Bytes that are there, or an event stream.
pub(super) type Body = Either<AnswerBytes, EventBody>;

/// The bytes of an answer, which are charged from when it is given to hyper until the system has
/// them.
#[derive(Default)]
pub(super) struct AnswerBytes {
    /// `None` once hyper has them, or if there are none.
    bytes: Option<Bytes>,
    is_charged: bool,
}

impl AnswerBytes {
    /// Bytes that whoever made them has charged.
    pub(super) fn charged(bytes: Bytes) -> Self {
        Self {
            is_charged: true,
            ..Self::from(bytes)
        }
    }

    /// Charges the bytes to `ledger`, unless they are charged already, or part of what the server
    /// has for everyone.
    pub(super) fn charge(&mut self, ledger: &Ledger) {
        if !self.is_charged
            && let Some(bytes) = self.bytes.take_if(|bytes| bytes.is_unique())
        {
            self.bytes = Some(ledger.keep(bytes));
            self.is_charged = true;
        }
    }
}

impl From<Bytes> for AnswerBytes {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes: Some(bytes).filter(|bytes| !bytes.is_empty()),
            is_charged: false,
        }
    }
}

impl From<&'static str> for AnswerBytes {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<String> for AnswerBytes {
    fn from(text: String) -> Self {
        // Without what the string had room for: it is not known any more when it is charged.
        Bytes::from(text.into_boxed_str().into_boxed_bytes()).into()
    }
}

impl HttpBody for AnswerBytes {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_its_own_is_charged_until_it_is_dropped() {
        let ledger = Ledger::default();
        let mut answer = AnswerBytes::from("a page".repeat(10));
        answer.charge(&ledger);
        answer.charge(&ledger);
        assert_eq!(ledger.bytes(), 60);
        drop(answer);
        assert_eq!(ledger.bytes(), 0);
        let file = Bytes::from("a file".repeat(10));
        for mut shared in [AnswerBytes::from(file.clone()), "a word".into()] {
            shared.charge(&ledger);
            assert_eq!(ledger.bytes(), 0);
        }
    }
}
