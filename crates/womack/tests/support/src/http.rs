//! HTTP requests as decent programs make them: one connection each, nothing kept, unless a
//! [`Connection`] is.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
pub use hyper::Method;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::within;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values, as they came.
    pub headers: Vec<(String, String)>,
    /// The body, whatever it is.
    pub bytes: Bytes,
}

impl Answer {
    /// The first header of that name; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// GET.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, Method::GET, path, &[], "").await
}

/// GET from a server that may not answer any more.
pub async fn try_get(address: SocketAddr, path: &str) -> Option<Answer> {
    let answer = exchange(address, Method::GET, path, &[], "");
    within("an answer or none", answer).await.ok()
}

/// POST of text to a server that may not answer any more.
pub async fn try_post(address: SocketAddr, path: &str, body: &str) -> Option<Answer> {
    let headers = [("content-type", "text/plain;charset=UTF-8")];
    let answer = exchange(address, Method::POST, path, &headers, body);
    within("an answer or none", answer).await.ok()
}

/// GET with headers.
pub async fn get_with(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(address, Method::GET, path, headers, "").await
}

/// POST of text.
pub async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    let headers = [("content-type", "text/plain;charset=UTF-8")];
    request(address, Method::POST, path, &headers, body).await
}

/// Any request, on a connection of its own; a connection that breaks fails the test.
pub async fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let what = format!("{method} {path}");
    within(&what, exchange(address, method, path, headers, body))
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}

async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, Failure> {
    let mut connection = Connection::try_open(address).await?;
    connection.exchange(method, path, headers, body).await
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection for several requests, one after the other.
pub struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    /// Sends and receives as long as it lives; what goes wrong shows in the answer that does not
    /// come.
    task: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        let opened = within("a connection", Self::try_open(address)).await;
        opened.unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    async fn try_open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let task = tokio::spawn(connection);
        Ok(Self {
            address,
            sender,
            task,
        })
    }

    /// GET.
    ///
    /// # Errors
    /// The connection ends without a whole answer.
    pub async fn get(&mut self, path: &str) -> Result<Answer, Failure> {
        let answer = self.exchange(Method::GET, path, &[], "");
        within(&format!("an answer to GET {path}, or none"), answer).await
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        });
        Ok(Answer {
            status: head.status.as_u16(),
            headers: headers.collect(),
            bytes,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
