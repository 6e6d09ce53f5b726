//! The bytes of a connection to Redis: commands go out, replies come in.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::{
    connect::Stream,
    resp::{self, Decoder, NotAReply, Reply},
};

/// Bytes that are read at one go.
const READ_BYTES: usize = 64 * 1024;
/// Room that is left at least when something is read.
const LEAST_READ_BYTES: usize = 4 * 1024;

/// The bytes of a connection to Redis.
pub(super) struct Socket {
    stream: Box<dyn Stream>,
    input: BytesMut, // bounded: by the longest message
    decoder: Decoder,
    /// What is to be written.
    output: Vec<u8>, // bounded: by the batches in flight
    /// How much of it has been.
    written: usize,
    /// Whether everything written has been flushed.
    flushed: bool,
}

impl Socket {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            decoder: Decoder::default(),
            output: Vec::new(),
            written: 0,
            flushed: true,
        }
    }

    /// Says something with the next [`Socket::turn`].
    pub(super) fn command<'a>(&mut self, name: &str, arguments: impl Iterator<Item = &'a str>) {
        resp::command(&mut self.output, name, arguments);
    }

    /// The buffer for what is said with the next [`Socket::turn`].
    pub(super) const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The next of the replies that have come whole, or are messages with more than
    /// `max_message_bytes`.
    ///
    /// # Errors
    /// What came is none.
    pub(super) fn reply(&mut self, max_message_bytes: usize) -> Result<Option<Reply>, NotAReply> {
        self.decoder.decode(&mut self.input, max_message_bytes)
    }

    /// Writes what is to be written, and reads, if it `may_read`, as much as fits. Returns how many
    /// bytes came; 0 is the end. Losing this future loses nothing.
    pub(super) async fn turn(&mut self, may_read: bool) -> io::Result<usize> {
        poll_fn(|context| self.poll_turn(context, may_read)).await
    }

    fn poll_turn(&mut self, context: &mut Context<'_>, may_read: bool) -> Poll<io::Result<usize>> {
        let has_output = !self.output.is_empty() || !self.flushed;
        if has_output && let Poll::Ready(Err(error)) = self.poll_write(context) {
            return Poll::Ready(Err(error));
        }
        if !may_read {
            return Poll::Pending;
        }
        if self.input.capacity() - self.input.len() < LEAST_READ_BYTES {
            self.input.reserve(READ_BYTES);
        }
        // It is asked once and dropped, which loses nothing.
        let reading = pin!(self.stream.read_buf(&mut self.input));
        reading.poll(context)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let stream = pin!(&mut self.stream);
            match stream.poll_write(context, &self.output[self.written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.written += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        (self.output, self.written) = (Vec::new(), 0);
        self.flushed = false;
        let flushed = pin!(&mut self.stream).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed {
            self.flushed = true;
        }
        flushed
    }
}
