use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::engine::sid;
use crate::http::{self, Answer};

/// A Socket.IO client over long-polling. Every request uses a TCP connection of its own.
pub struct Polling {
    address: SocketAddr,
    /// The version of Engine.IO, as its parameter has it.
    eio: &'static str,
    sid: String,
    packets: VecDeque<String>,
    next_ack: u32,
}

impl Polling {
    /// Opens a session and joins `/`.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        client.send("40").await;
        let packet = client.packet().await;
        assert!(packet.starts_with("40{"), "a connect packet, not {packet}");
        client
    }

    /// Opens a session only.
    pub async fn open(address: SocketAddr) -> Self {
        Self::open_as(address, "4").await
    }

    /// Opens a session as clients 1.x and 2.x do: the server joins `/` for them.
    pub async fn connect_eio3(address: SocketAddr) -> Self {
        let mut client = Self::open_as(address, "3").await;
        assert_eq!(client.packet().await, "40");
        client
    }

    async fn open_as(address: SocketAddr, eio: &'static str) -> Self {
        let path = format!("/socket.io/?EIO={eio}&transport=polling");
        let answer = http::get(address, &path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut client = Self {
            address,
            eio,
            sid: String::new(),
            packets: VecDeque::new(),
            next_ack: 0,
        };
        client.packets.extend(client.split(&answer.text()));
        client.sid = sid(&client.packets.pop_front().expect("an open packet"));
        client
    }

    /// The same session, whose requests go to another node from here on.
    pub fn by_way_of(mut self, node: SocketAddr) -> Self {
        self.address = node;
        self
    }

    /// The id of the session.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// The path of every request of this session.
    pub fn path(&self) -> String {
        let Self { eio, sid, .. } = self;
        format!("/socket.io/?EIO={eio}&transport=polling&sid={sid}")
    }

    /// The path of a WebSocket of this session.
    pub fn upgrade_path(&self) -> String {
        let Self { eio, sid, .. } = self;
        format!("/socket.io/?EIO={eio}&transport=websocket&sid={sid}")
    }

    /// POSTs one packet, or in Engine.IO 4 several with 0x1e between them, which must be accepted.
    pub async fn send(&self, payload: &str) {
        let answer = match self.eio {
            "3" => self.post(&counted(payload)).await,
            _ => self.post(payload).await,
        };
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok"),
            "POST {payload}"
        );
    }

    /// POSTs anything.
    pub async fn post(&self, payload: &str) -> Answer {
        http::post(self.address, &self.path(), payload).await
    }

    /// GETs once.
    pub async fn poll(&self) -> Answer {
        http::get(self.address, &self.path()).await
    }

    /// The next packet; polls as often as it takes, and answers pings unseen.
    pub async fn packet(&mut self) -> String {
        loop {
            match self.packets.pop_front() {
                Some(packet) if packet == "2" => self.send("3").await,
                Some(packet) => return packet,
                None => self.fetch().await,
            }
        }
    }

    /// Subscribes, and waits until the subscription is live. Nothing else may be on its way.
    pub async fn subscribe(&mut self, channel: &str) {
        let ack = self.next_ack;
        self.next_ack += 1;
        let event = json!(["subscribe", { "channel": channel }]);
        self.send(&format!("42{ack}{event}")).await;
        let answer = json!([{ "ok": true, "channels": [channel] }]);
        let packet = self.packet().await;
        let (head, body) = packet.split_at(packet.find('[').unwrap_or(0));
        assert_eq!(head, format!("43{ack}"), "{packet}");
        assert_eq!(
            serde_json::from_str::<Value>(body).expect("JSON in an acknowledgement"),
            answer
        );
    }

    /// The next packet, which must be a message of `channel`; returns the envelope's text.
    pub async fn message(&mut self, channel: &str) -> String {
        let head = format!("42[{},", Value::from(channel));
        let packet = self.packet().await;
        packet
            .strip_prefix(&head)
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or_else(|| panic!("a message of {channel}, not {packet}"))
            .to_owned()
    }

    async fn fetch(&mut self) {
        let answer = self.poll().await;
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}");
        self.packets.extend(self.split(&text));
    }

    /// The packets of a payload.
    pub fn split(&self, payload: &str) -> Vec<String> {
        if self.eio != "3" {
            return payload.split('\u{1e}').map(str::to_owned).collect();
        }
        assert!(
            payload.is_ascii(),
            "client 1.x takes nothing else: {payload}"
        );
        let (mut packets, mut rest) = (Vec::new(), payload);
        while let Some((length, after)) = rest.split_once(':') {
            let (packet, after) = after.split_at(length.parse().expect("a length"));
            packets.push(packet.to_owned());
            rest = after;
        }
        assert_eq!(rest, "", "nothing without a length");
        packets
    }
}

/// A packet as Engine.IO 3 has it in a payload.
pub fn counted(packet: &str) -> String {
    format!("{}:{packet}", packet.encode_utf16().count())
}
