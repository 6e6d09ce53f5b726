//! A client of nginx with nchan: it is sent nothing but payloads, of the one channel it asked for.

use super::Client;
use crate::{message::Stamp, tally::Tally};

impl Client {
    #[inline]
    pub(super) fn on_payload(&mut self, payload: &[u8], now: u64, tally: &mut Tally) {
        let channel = self.subscriptions.channels().next().unwrap_or_default();
        let stamp = Stamp::of_channel(channel, payload, tally.payload_len);
        self.on_message(stamp, now, tally);
    }
}
