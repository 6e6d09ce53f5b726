//! A client's TCP stream, which tells how it ended after hyper has dropped it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A client's TCP stream, as hyper has it.
pub(super) struct ClientStream {
    /// Taken when the stream becomes a WebSocket.
    stream: Option<TcpStream>,
    end: Arc<StreamEnd>,
}

/// How a stream ended.
#[derive(Default)]
pub(super) struct StreamEnd {
    /// Set when the stream is of no use any more.
    is_over: AtomicBool,
    /// Whether the client has closed its side.
    saw_end: AtomicBool,
    error: OnceLock<io::ErrorKind>,
    stream: Mutex<Option<TcpStream>>,
}

impl StreamEnd {
    /// Whether the stream may still bring bytes to the client.
    pub(super) fn is_open(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
    }

    /// Whether the client has closed its side.
    pub(super) fn saw_end(&self) -> bool {
        self.saw_end.load(Ordering::Acquire)
    }

    /// The first error of the stream.
    pub(super) fn error(&self) -> Option<io::ErrorKind> {
        self.error.get().copied()
    }

    /// The stream itself, once hyper has dropped it.
    pub(super) fn take_stream(&self) -> Option<TcpStream> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.take()
    }

    fn note<T>(&self, polled: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = polled {
            // Only the first one says why.
            self.error.set(error.kind()).ok();
            self.is_over.store(true, Ordering::Release);
        }
    }
}

impl ClientStream {
    /// A stream, and how it will have ended.
    pub(super) fn new(stream: TcpStream) -> (Self, Arc<StreamEnd>) {
        let end = Arc::new(StreamEnd::default());
        let stream = Self {
            stream: Some(stream),
            end: end.clone(),
        };
        (stream, end)
    }

    /// The stream itself, for what comes after HTTP.
    ///
    /// # Errors
    /// It was taken before, which nobody does.
    pub(super) fn into_inner(mut self) -> io::Result<TcpStream> {
        self.stream.take().ok_or_else(taken)
    }

    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(taken()));
        };
        let polled = poll(Pin::new(stream));
        self.end.note(&polled);
        polled
    }
}

fn taken() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.end.is_over.store(true, Ordering::Release);
        if let Some(stream) = self.stream.take() {
            let kept = self.end.stream.lock();
            *kept.unwrap_or_else(PoisonError::into_inner) = Some(stream);
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let polled = self.poll(|stream| stream.poll_read(context, buffer));
        let is_empty = buffer.filled().len() == before && room > 0;
        if is_empty && matches!(polled, Poll::Ready(Ok(()))) {
            self.end.saw_end.store(true, Ordering::Release);
        }
        polled
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        // hyper then keeps bodies as they are until the system has them; see `delivery`.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_shutdown(context))
    }
}
