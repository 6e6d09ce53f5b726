use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::raw::{self, Frame, Raw};

/// A client that speaks JSON lines over a plain WebSocket, and answers pings unseen.
pub struct Lines {
    socket: Raw,
    id: String,
}

impl Lines {
    /// Connects to the namespace `/`.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_at(address, "/ws").await
    }

    /// Connects with a path and a query.
    pub async fn connect_at(address: SocketAddr, path: &str) -> Self {
        let mut client = Self {
            socket: Raw::upgraded(address, path).await,
            id: String::new(),
        };
        let first = client.json().await;
        client.id = first["session"].as_str().expect("a session id").to_owned();
        assert_eq!(first, json!({ "session": client.id }));
        client
    }

    /// The session id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The WebSocket, for what is no line.
    pub fn socket(&mut self) -> &mut Raw {
        &mut self.socket
    }

    /// Sends a line.
    pub async fn send(&mut self, line: &str) {
        self.socket.send(&raw::text(line)).await;
    }

    /// Sends a line and waits for the next one.
    pub async fn ask(&mut self, line: &Value) -> Value {
        self.send(&line.to_string()).await;
        self.json().await
    }

    /// Subscribes, and waits until the subscription is live.
    pub async fn subscribe(&mut self, channel: &str) {
        let answer = self.ask(&json!({ "subscribe": [channel] })).await;
        assert_eq!(answer, json!({ "ok": true, "subscribed": [channel] }));
    }

    /// The next line, as it came.
    pub async fn line(&mut self) -> String {
        loop {
            let frame = self.socket.frame().await.expect("a line, not the end");
            match frame.first {
                0x81 => return String::from_utf8(frame.payload).expect("text is UTF-8"),
                0x89 => self.socket.send(&raw::frame(0x8a, &frame.payload)).await,
                _ => panic!("a line, not {frame:?}"),
            }
        }
    }

    /// The next line, read.
    pub async fn json(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The next line, which must be a message of `channel`; returns the envelope's text.
    pub async fn message(&mut self, channel: &str) -> String {
        let head = format!("{{\"channel\":{},\"message\":", Value::from(channel));
        let line = self.line().await;
        line.strip_prefix(&head)
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or_else(|| panic!("a message of {channel}, not {line:.300}"))
            .to_owned()
    }

    /// Reads to the end of the connection.
    pub async fn end(&mut self) -> Vec<Frame> {
        self.socket.frames().await
    }
}
