use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::within;

/// A client of server-sent events, which reads them as the HTML Standard says.
pub struct EventStream {
    /// The head of the answer: names in lower case, and values.
    pub headers: Vec<(String, String)>,
    body: Incoming,
    unread: Vec<u8>,
    id: String,
    /// Sends and receives as long as it lives.
    connection: JoinHandle<()>,
}

/// An event, or a comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The event's name; of a comment, nothing.
    pub name: String,
    /// Its data.
    pub data: String,
    /// Its id, if it has one of its own.
    pub id: Option<String>,
}

impl Event {
    /// The data, read as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

impl EventStream {
    /// Opens a stream of `/`, and reads the session id.
    pub async fn open(address: SocketAddr, query: &str) -> Self {
        Self::open_with(address, query, &[]).await
    }

    /// The same with headers.
    pub async fn open_with(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("a connection that speaks HTTP");
        // What goes wrong shows in the body.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::get(format!("/events?{query}"))
            .header("host", address.to_string())
            .header("accept", "text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = within("an answer", sender.send_request(request)).await;
        let (head, body) = answer.expect("an answer").into_parts();
        assert_eq!(head.status, 200, "{query}");
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter();
        let mut stream = Self {
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
                .collect(),
            body,
            unread: Vec::new(),
            id: String::new(),
            connection,
        };
        let first = stream.event().await;
        assert_eq!(first.name, "womack:session");
        let id = first.json()["session"].as_str().map(str::to_owned);
        stream.id = id.expect("a session id");
        stream
    }

    /// The session id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next event that is no comment.
    pub async fn event(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("an event, not the end");
            if !event.name.is_empty() {
                return event;
            }
        }
    }

    /// The next message, which must be of `channel`; returns its data.
    pub async fn message(&mut self, channel: &str) -> String {
        let event = self.event().await;
        assert_eq!(event.name, channel, "{event:.300?}");
        event.data
    }

    /// The next event or comment; `None` at the end of the stream, or when it breaks off.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.unread.windows(2).position(|found| found == b"\n\n");
            if let Some(end) = end {
                let event: Vec<u8> = self.unread.drain(..end + 2).collect();
                let event = str::from_utf8(&event[..end]).expect("an event in UTF-8");
                return Some(read(event));
            }
            let frame = within("more of a stream", self.body.frame()).await?.ok()?;
            // A piece may end within a character.
            let data = frame.into_data().expect("a body has data");
            self.unread.extend_from_slice(&data);
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn read(text: &str) -> Event {
    let mut event = Event::default();
    let mut data: Vec<&str> = Vec::new();
    for line in text.split(['\n', '\r']) {
        let (field, value) = line.split_once(':').expect("a field");
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => {}
            "event" => event.name = value.to_owned(),
            "data" => data.push(value),
            "id" => event.id = Some(value.to_owned()),
            _ => panic!("an unknown field in {text:?}"),
        }
    }
    event.data = data.join("\n");
    event
}
