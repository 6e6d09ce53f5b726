//! A client of Socket.IO 4: of Womack and of the servers that do its work.

use std::io::Write;

use super::{Client, Failure, Stage, Transport};
use crate::{
    frame,
    message::{Stamp, channel_name},
    tally::Tally,
};

impl Client {
    #[inline]
    pub(super) fn on_packet(
        &mut self,
        packet: &[u8],
        now: u64,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        if packet.starts_with(b"42") {
            self.on_message(Stamp::of_packet(packet, tally.payload_len), now, tally);
            return Ok(());
        }
        match (self.stage, packet) {
            (Stage::Opening, [b'0', ..]) => {
                if let Transport::Polling(polling) = &mut self.transport {
                    polling.open(packet);
                }
                self.stage = Stage::Joining;
                self.send(b"40")
            }
            (Stage::Joining, [b'4', b'0', ..]) => {
                self.stage = Stage::Subscribing;
                self.send(&self.subscribe())
            }
            (Stage::Subscribing, [b'4', b'3', ..])
                if memchr::memmem::find(packet, br#""ok":true"#).is_some() =>
            {
                self.stage = Stage::Ready;
                Ok(())
            }
            (_, b"2") => self.send(b"3"),
            (_, b"6") => Ok(()),
            _ => Err(self.unexpected(packet)),
        }
    }

    fn subscribe(&self) -> Vec<u8> {
        let names = self.subscriptions.channels().map(channel_name);
        let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
        let argument = match names.as_slice() {
            [name] => format!(r#"{{"channel":{name}}}"#),
            names => format!(r#"{{"channels":[{}]}}"#, names.join(",")),
        };
        format!(r#"420["subscribe",{argument}]"#).into_bytes()
    }

    /// A client says so little that its socket always takes it whole.
    fn send(&mut self, packet: &[u8]) -> Result<(), Failure> {
        match &mut self.transport {
            Transport::WebSocket => {
                let mut bytes = Vec::with_capacity(packet.len() + 8);
                frame::client_text(packet, &mut bytes);
                self.stream.write_all(&bytes)?;
            }
            Transport::Polling(polling) => polling.push(packet),
        }
        Ok(())
    }
}
