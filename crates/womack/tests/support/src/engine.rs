use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::within;

/// A Socket.IO client over WebSocket which shows every packet, and answers pings unseen.
pub struct Client {
    stream: WebSocketStream<TcpStream>,
    address: SocketAddr,
    namespace: String,
    id: String,
    /// The id of the session, if that is what the client knows itself by.
    sid: Option<String>,
    next_ack: u32,
    /// Packets that came while something else was waited for.
    kept: VecDeque<String>,
    answers_pings: bool,
}

impl Client {
    /// Connects, and joins `/`.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_to(address, "/").await
    }

    /// Connects, and joins a namespace.
    pub async fn connect_to(address: SocketAddr, namespace: &str) -> Self {
        let mut client = Self::open(address).await;
        client.join(namespace).await;
        client
    }

    /// Opens the transport only.
    pub async fn open(address: SocketAddr) -> Self {
        let mut client = Self::raw(address, "/socket.io/?EIO=4&transport=websocket").await;
        let open = client.packet().await;
        assert!(open.starts_with("0{"), "an open packet, not {open}");
        client
    }

    /// Connects as clients 1.x and 2.x do: the server joins `/` for them.
    pub async fn connect_eio3(address: SocketAddr) -> Self {
        let mut client = Self::raw(address, "/socket.io/?EIO=3&transport=websocket").await;
        client.id = sid(&client.packet().await);
        client.sid = Some(client.id.clone());
        assert_eq!(client.packet().await, "40");
        client
    }

    /// Opens a WebSocket at any path and reads nothing from it.
    pub async fn raw(address: SocketAddr, path: &str) -> Self {
        Self::try_raw(address, path)
            .await
            .unwrap_or_else(|error| panic!("WebSocket at {path}: {error}"))
    }

    /// Tries to open a WebSocket at any path.
    pub async fn try_raw(address: SocketAddr, path: &str) -> Result<Self, Error> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let handshake = client_async(format!("ws://{address}{path}"), tcp);
        let (stream, _) = within("a WebSocket handshake", handshake).await?;
        Ok(Self {
            stream,
            address,
            namespace: "/".to_owned(),
            id: String::new(),
            sid: None,
            next_ack: 0,
            kept: VecDeque::new(),
            answers_pings: true,
        })
    }

    /// Stops answering pings: they are shown like other packets.
    pub fn ignore_pings(&mut self) {
        self.answers_pings = false;
    }

    /// Joins another namespace on the same transport, which is from then on the one spoken to.
    pub async fn join(&mut self, namespace: &str) {
        self.namespace = namespace.to_owned();
        let prefix = self.prefix();
        self.send(&format!("40{prefix}")).await;
        if let Some(sid) = &self.sid {
            self.id = format!("{namespace}#{sid}");
            assert_eq!(self.packet().await, format!("40{prefix}"));
            return;
        }
        let head = format!("40{prefix}{{");
        let answer = self.find(|packet| packet.starts_with("4")).await;
        assert!(answer.starts_with(&head), "a connect packet, not {answer}");
        let answer: Value = serde_json::from_str(&answer[head.len() - 1..]).expect("JSON after 40");
        self.id = answer["sid"].as_str().expect("a session id").to_owned();
    }

    /// The session id in the namespace, as the client's own `id` shows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The server spoken to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The client's own address, and so the TCP connection's name.
    pub fn local_address(&self) -> SocketAddr {
        let local = self.stream.get_ref().local_addr();
        local.expect("a connected socket has an address")
    }

    /// Sends one packet as it is.
    pub async fn send(&mut self, packet: &str) {
        let message = Message::text(packet);
        within("a packet to go", self.stream.send(message))
            .await
            .unwrap_or_else(|error| panic!("sending {packet:?}: {error}"));
    }

    /// Sends one packet if the connection still takes it.
    pub async fn try_send(&mut self, packet: &str) -> bool {
        within(
            "a packet to go or fail",
            self.stream.send(Message::text(packet)),
        )
        .await
        .is_ok()
    }

    /// Sends one binary message as it is.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        let message = Message::binary(bytes.to_vec());
        within("a binary message to go", self.stream.send(message))
            .await
            .expect("a connection to send on");
    }

    /// Emits an event to the current namespace.
    pub async fn emit(&mut self, event: &str, argument: &Value) {
        let prefix = self.prefix();
        self.send(&format!("42{prefix}{}", json!([event, argument])))
            .await;
    }

    /// Emits an event and waits for the one argument of its acknowledgement.
    pub async fn call(&mut self, event: &str, argument: &Value) -> Value {
        let ack = self.ask(event, argument).await;
        self.answer(ack).await
    }

    /// Emits an event that wants an acknowledgement, and returns the number of that.
    pub async fn ask(&mut self, event: &str, argument: &Value) -> u32 {
        let ack = self.next_ack;
        self.next_ack += 1;
        let prefix = self.prefix();
        self.send(&format!("42{prefix}{ack}{}", json!([event, argument])))
            .await;
        ack
    }

    /// Waits for an acknowledgement, which carries one argument.
    pub async fn answer(&mut self, ack: u32) -> Value {
        let head = format!("43{}{ack}[", self.prefix());
        let answer = self.find(|packet| packet.starts_with(&head)).await;
        let mut arguments: Vec<Value> =
            serde_json::from_str(&answer[head.len() - 1..]).expect("JSON in an acknowledgement");
        assert_eq!(arguments.len(), 1, "one argument: {answer}");
        arguments.remove(0)
    }

    /// Subscribes, and waits until the subscription is live.
    pub async fn subscribe(&mut self, channel: &str) {
        let answer = self.call("subscribe", &json!({ "channel": channel })).await;
        assert_eq!(answer, json!({ "ok": true, "channels": [channel] }));
    }

    /// Unsubscribes, and waits for the server's word.
    pub async fn unsubscribe(&mut self, channel: &str) {
        let answer = self
            .call("unsubscribe", &json!({ "channel": channel }))
            .await;
        assert_eq!(answer, json!({ "ok": true, "channels": [channel] }));
    }

    /// The next packet, which must be a message of `channel`; returns the envelope's text.
    pub async fn message(&mut self, channel: &str) -> String {
        let head = format!("42{}[{},", self.prefix(), Value::from(channel));
        let packet = self.packet().await;
        packet
            .strip_prefix(&head)
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or_else(|| panic!("a message of {channel}, not {}", shortened(&packet)))
            .to_owned()
    }

    /// The next packet.
    pub async fn packet(&mut self) -> String {
        if let Some(packet) = self.kept.pop_front() {
            return packet;
        }
        self.next_packet()
            .await
            .unwrap_or_else(|end| panic!("the connection ended: {end:?}"))
    }

    /// The next packet; `None` if the connection ends first.
    pub async fn packet_or_end(&mut self) -> Option<String> {
        match self.kept.pop_front() {
            Some(packet) => Some(packet),
            None => self.next_packet().await.ok(),
        }
    }

    /// Waits for a packet and keeps all others for later.
    pub async fn find(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        if let Some(place) = self.kept.iter().position(|packet| wanted(packet)) {
            return self.kept.remove(place).expect("the place was just found");
        }
        loop {
            match self.next_packet().await {
                Ok(packet) if wanted(&packet) => return packet,
                Ok(packet) => self.kept.push_back(packet),
                Err(end) => panic!("the connection ended: {end:?}"),
            }
        }
    }

    /// Reads to the end of the connection; returns the text packets before it and the close frame.
    pub async fn end(&mut self) -> (Vec<String>, Option<CloseFrame>) {
        let mut packets = Vec::from(std::mem::take(&mut self.kept));
        let frame = within("the end of a connection", async {
            loop {
                match self.next_packet().await {
                    Ok(packet) => packets.push(packet),
                    Err(frame) => return frame,
                }
            }
        });
        let frame = frame.await;
        (packets, frame)
    }

    /// Says goodbye as a browser does.
    pub async fn close(mut self) {
        // The server may have closed first; the end is the same.
        drop(self.stream.close(None).await);
        self.end().await;
    }

    /// The next packet that is no ping, or the end.
    async fn next_packet(&mut self) -> Result<String, Option<CloseFrame>> {
        let mut farewell = None;
        loop {
            match within("a packet", self.stream.next()).await {
                Some(Ok(Message::Text(text))) if self.answers_pings && text.as_str() == "2" => {
                    // The end, if it has come, is what the next read returns.
                    drop(self.stream.send(Message::text("3")).await);
                }
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => farewell = frame,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(farewell),
            }
        }
    }

    fn prefix(&self) -> String {
        match self.namespace.as_str() {
            "/" => String::new(),
            namespace => format!("{namespace},"),
        }
    }
}

/// The session id in an open packet.
pub(crate) fn sid(packet: &str) -> String {
    let open = packet
        .strip_prefix('0')
        .unwrap_or_else(|| panic!("an open packet, not {packet}"));
    let open: Value = serde_json::from_str(open).expect("JSON in the open packet");
    open["sid"].as_str().expect("a session id").to_owned()
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}
