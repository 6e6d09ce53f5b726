//! HTTP requests that may fail and that end with their future.

use std::error::Error;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming as Body};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// A connection's task, which ends with its owner.
pub(super) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a request; returns the head of the answer with its body unread.
pub(super) async fn begin(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: &str,
) -> Result<(Response<Body>, Connection), Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // An error shows in the answer that does not come.
    let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("content-type", "text/plain;charset=UTF-8")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
    Ok((sender.send_request(request).await?, connection))
}

/// Sends a request; returns the status and the text of the answer.
pub(super) async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: &str,
) -> Result<(u16, String), Failure> {
    let (response, _connection) = begin(address, method, path, body).await?;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// GET of a path.
pub(super) async fn get(address: SocketAddr, path: &str) -> Result<(u16, String), Failure> {
    exchange(address, Method::GET, path, "").await
}

/// The end of a GET.
pub(super) enum Polled {
    /// The whole answer: its status and its text.
    Answered(u16, String),
    /// The client broke it off, and there was no answer, or a part of one.
    Aborted,
}

/// GET of a path that is broken off when `abort` says so. The client then says that it sends
/// nothing more, and reads on: so it knows whether the server had answered before it noticed.
pub(super) async fn poll(
    address: SocketAddr,
    path: &str,
    mut abort: oneshot::Receiver<()>,
) -> Result<Polled, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut bytes, mut is_aborted) = (Vec::new(), false);
    loop {
        tokio::select! {
            read = stream.read_buf(&mut bytes) => match read {
                Ok(1..) => {}
                Ok(0) => break,
                Err(_) if is_aborted => break,
                Err(error) => return Err(error.into()),
            },
            asked = &mut abort, if !is_aborted => match asked {
                Ok(()) => {
                    is_aborted = true;
                    stream.shutdown().await?;
                }
                // The client is gone, or does not care.
                Err(_) => is_aborted = true,
            },
        }
    }
    match whole(&bytes) {
        Some((status, text)) => Ok(Polled::Answered(status, text)),
        None if is_aborted => Ok(Polled::Aborted),
        None => Err(format!("a part of an answer: {}", String::from_utf8_lossy(&bytes)).into()),
    }
}

/// The status and the text of an answer, if all of it is there.
fn whole(bytes: &[u8]) -> Option<(u16, String)> {
    let text = str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    (length? == body.len()).then(|| (status, body.to_owned()))
}
