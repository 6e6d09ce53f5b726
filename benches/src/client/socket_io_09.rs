//! A client of Socket.IO 0.9: it asks for a session, and then for the session's WebSocket, on the
//! same connection.

use std::io::Write;

use super::{Client, Failure, Stage};
use crate::{
    frame,
    http::Answer,
    message::{Stamp, channel_name},
    tally::Tally,
};

impl Client {
    /// Asks for a session.
    pub(super) fn shake_hands(&mut self, target: &str) -> Result<(), Failure> {
        self.stage = Stage::ShakingHands;
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Ok(self.stream.write_all(request.as_bytes())?)
    }

    /// Takes the session id from `<id>:60:60:websocket,…`.
    pub(super) fn on_handshake(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let Some(answer) = Answer::scan(bytes) else {
            return Ok(0);
        };
        let line = str::from_utf8(&bytes[answer.start..answer.end]).ok();
        match line.and_then(|line| line.split_once(':')) {
            Some((sid, _)) if answer.ok => {
                self.upgrade(&format!("/socket.io/1/websocket/{sid}"))?;
                Ok(answer.end)
            }
            _ => Err(self.unexpected(&bytes[..answer.end])),
        }
    }

    #[inline]
    pub(super) fn on_packet_09(
        &mut self,
        packet: &[u8],
        now: u64,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        if packet.starts_with(b"5") {
            self.on_message(Stamp::of_packet_09(packet, tally.payload_len), now, tally);
            return Ok(());
        }
        match (self.stage, packet) {
            (Stage::Opening, b"1::") => {
                self.stage = Stage::Subscribing;
                self.say_text(&self.subscribe_09())
            }
            (Stage::Subscribing, [b'6', ..])
                if memchr::memmem::find(packet, br#""ok":true"#).is_some() =>
            {
                self.stage = Stage::Ready;
                Ok(())
            }
            (_, b"2::") => self.say_text("2::"),
            _ => Err(self.unexpected(packet)),
        }
    }

    fn subscribe_09(&self) -> String {
        let names = self.subscriptions.channels().map(channel_name);
        let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
        let names = names.join(",");
        format!(r#"5:1+::{{"name":"subscribe","args":[{{"channels":[{names}]}}]}}"#)
    }

    fn say_text(&mut self, packet: &str) -> Result<(), Failure> {
        let mut bytes = Vec::with_capacity(packet.len() + 8);
        frame::client_text(packet.as_bytes(), &mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }
}
