//! What a connection has read and written, and whether its client takes what it is sent.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client_stream::ClientStream;

/// Bytes that a connection has read and written since it opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrafficCount {
    pub(super) read: u64,
    pub(super) written: u64,
    /// Whether there is more to write than the system takes.
    pub(super) is_blocked: bool,
    /// The most bytes that were read at one go.
    pub(super) largest_read: usize,
}

/// The same, as the task of a connection shares it with its stream.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
    is_blocked: AtomicBool,
    /// Whether a request waits until the stream is not blocked any more.
    has_waiting: AtomicBool,
    largest_read: AtomicUsize,
}

impl Traffic {
    /// What has happened so far.
    pub(super) fn count(&self) -> TrafficCount {
        TrafficCount {
            read: self.read.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            is_blocked: self.is_blocked.load(Ordering::Relaxed),
            largest_read: self.largest_read.load(Ordering::Relaxed),
        }
    }

    /// Waits until the system takes what there is to write. A request that a client has sent
    /// without reading the answers before it waits here, so that its answer does not pile up behind
    /// them.
    pub(super) async fn unblocked(&self) {
        poll_fn(|_| {
            let is_blocked = self.is_blocked.load(Ordering::Relaxed);
            self.has_waiting.store(is_blocked, Ordering::Relaxed);
            match is_blocked {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    }
}

/// A stream whose traffic is counted.
pub(super) struct Counted {
    stream: ClientStream,
    traffic: Arc<Traffic>,
}

impl Counted {
    pub(super) const fn new(stream: ClientStream, traffic: Arc<Traffic>) -> Self {
        Self { stream, traffic }
    }

    pub(super) fn into_inner(self) -> ClientStream {
        self.stream
    }

    fn count_written(
        &self,
        written: Poll<io::Result<usize>>,
        context: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let traffic = &self.traffic;
        traffic
            .is_blocked
            .store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = written {
            traffic.written.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        // hyper asks for the next answer before it writes, and not again once it has written.
        if written.is_ready() && traffic.has_waiting.swap(false, Ordering::Relaxed) {
            context.waker().wake_by_ref();
        }
        written
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        self.traffic.read.fetch_add(bytes as u64, Ordering::Relaxed);
        self.traffic
            .largest_read
            .fetch_max(bytes, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count_written(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count_written(written, context)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible, pin::pin};

    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpSocket},
        select,
        task::yield_now,
    };

    use super::*;
    use crate::http::delivery::ClientConnection;

    /// Bytes of an answer's head.
    const HEAD: usize = 4096;

    #[tokio::test]
    async fn requests_behind_an_answer_that_is_not_read_wait_for_that() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let client = socket.connect(listener.local_addr().unwrap());
        let (mut client, server) = (client.await.unwrap(), listener.accept().await.unwrap().0);
        let (_connection, stream) = ClientConnection::new(server, None);
        let (traffic, answers) = (Arc::new(Traffic::default()), Cell::new(0));
        let service = service_fn(|_: Request<Incoming>| async {
            traffic.unblocked().await;
            answers.set(answers.get() + 1);
            let response = Response::builder().header("padding", "x".repeat(HEAD));
            Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
        });
        let stream = TokioIo::new(Counted::new(stream, traffic.clone()));
        let serving = http1::Builder::new().serve_connection(stream, service);
        let mut serving = pin!(serving);
        let asking = async {
            // More than the system takes in either direction.
            let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
            loop {
                client.write_all(&request).await.unwrap();
            }
        };
        let blocked = async {
            let mut looks = 0;
            while looks < 10_000 {
                looks += usize::from(traffic.count().is_blocked);
                yield_now().await;
            }
        };
        let mut asking = pin!(asking);
        select! {
            _ = serving.as_mut() => panic!("the connection ends"),
            () = asking.as_mut() => {}
            () = blocked => {}
        }
        let written = traffic.count().written as usize;
        let waiting = answers.get() * HEAD - written.min(answers.get() * HEAD);
        assert!(waiting <= 2 * HEAD, "{waiting} bytes wait behind {written}");
    }
}
