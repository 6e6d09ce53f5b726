//! A client of a nats-server. A frame holds as many operations as were ready, and an operation
//! may go on in the next frame.

use std::{fmt::Write as _, io::Write as _, mem};

use super::{Client, Failure, Stage};
use crate::{
    frame,
    message::{Stamp, channel_name},
    nats::{self, Operation},
    tally::Tally,
};

impl Client {
    pub(super) fn on_operations(
        &mut self,
        bytes: &[u8],
        now: u64,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        if self.unfinished.is_empty() {
            let used = self.on_whole_operations(bytes, now, tally)?;
            self.unfinished.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut unfinished = mem::take(&mut self.unfinished);
        unfinished.extend_from_slice(bytes);
        let used = self.on_whole_operations(&unfinished, now, tally)?;
        unfinished.drain(..used);
        self.unfinished = unfinished;
        Ok(())
    }

    fn on_whole_operations(
        &mut self,
        bytes: &[u8],
        now: u64,
        tally: &mut Tally,
    ) -> Result<usize, Failure> {
        let mut at = 0;
        while let Some((operation, length)) = nats::scan(&bytes[at..]) {
            match (self.stage, operation) {
                (Stage::Ready, Operation::Message { subject, payload }) => {
                    let stamp = Stamp::of_payload(subject, payload, tally.payload_len);
                    self.on_message(stamp, now, tally);
                }
                (Stage::Opening, Operation::Info) => {
                    self.stage = Stage::Subscribing;
                    self.say(&self.subscriptions_in_nats())?;
                }
                // What came before the ping is handled with its answer.
                (Stage::Subscribing, Operation::Pong) => self.stage = Stage::Ready,
                (_, Operation::Ping) => self.say("PONG\r\n")?,
                _ => return Err(self.unexpected(&bytes[at..])),
            }
            at += length;
        }
        Ok(at)
    }

    fn subscriptions_in_nats(&self) -> String {
        let mut text = "CONNECT {\"verbose\":false}\r\n".to_owned();
        for channel in self.subscriptions.channels() {
            // Writing to a string does not fail.
            _ = write!(text, "SUB {} {channel}\r\n", channel_name(channel));
        }
        text + "PING\r\n"
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let mut bytes = Vec::with_capacity(text.len() + 8);
        frame::client_binary(text.as_bytes(), &mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }
}
