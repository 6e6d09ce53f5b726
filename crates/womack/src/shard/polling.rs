//! Sessions whose transport is HTTP long-polling.

use std::time::Instant;

use tokio::sync::oneshot;
use womack_proto::{CloseReason, payload};

use super::{
    Shard,
    connection::{Polling, Transport},
    outbox::{Outbox, Spans},
};
use crate::{
    command::{PollAnswer, PostAnswer},
    sid::Sid,
};

/// Packets in one answer. python-engineio throws larger payloads away.
const PACKETS_PER_ANSWER: usize = 16;
const NOOP: &[u8] = b"6";
const CLOSE: &[u8] = b"1";

impl Shard {
    /// A GET asks for packets. It is answered at once if there are some, and waits otherwise.
    pub(super) fn poll(&mut self, sid: Sid, token: u64, answer: oneshot::Sender<PollAnswer>) {
        let Some(id) = self.find(sid) else {
            return reply(answer, PollAnswer::UnknownSid);
        };
        let Some(polling) = self.polling(id) else {
            return reply(answer, PollAnswer::BadRequest);
        };
        if polling.waiting.is_some() {
            reply(answer, PollAnswer::BadRequest);
            return self.close(id, CloseReason::PollOverlap);
        }
        polling.waiting = Some((token, answer));
        self.answer_poll(id);
        self.end_poll_soon(id);
    }

    /// A GET went away before it was answered: its session ends, since packets may be lost.
    pub(super) fn abort_poll(&mut self, sid: Sid, token: u64) {
        let Some(id) = self.find(sid) else { return };
        let waiting = self
            .polling(id)
            .and_then(|polling| polling.waiting.as_ref());
        if waiting.is_some_and(|(waiting, _)| *waiting == token) {
            self.close(id, CloseReason::PollAborted);
        }
    }

    /// A POST brings packets.
    pub(super) fn post(&mut self, sid: Sid, body: &[u8], answer: oneshot::Sender<PostAnswer>) {
        let done = self.take_packets(sid, body);
        // The client may have gone; its packets were taken all the same.
        answer.send(done).ok();
    }

    fn take_packets(&mut self, sid: Sid, body: &[u8]) -> PostAnswer {
        let Some(id) = self.find(sid) else {
            return PostAnswer::UnknownSid;
        };
        if self.polling(id).is_none() {
            return PostAnswer::BadRequest;
        }
        let most = self.common.config.max_packets_per_payload;
        let text = str::from_utf8(body).map_err(|_| CloseReason::ParseError);
        let decoded =
            text.and_then(|text| payload::decode(text, most).map_err(|error| error.close_reason()));
        let packets = match decoded {
            Ok(packets) => packets,
            Err(reason) => {
                self.close(id, reason);
                return PostAnswer::BadRequest;
            }
        };
        let (mut last, now) = (PostAnswer::Ok, Instant::now());
        for packet in packets {
            let is_close = packet == "1";
            self.with_session(id, |session, rules, out| {
                session.handle_polling_packet(now, packet, rules, out);
            });
            if self.find(sid).is_none() {
                last = if is_close {
                    PostAnswer::Ok
                } else {
                    PostAnswer::BadRequest
                };
                break;
            }
        }
        last
    }

    /// Answers the GET that waits, if one does and there is something to say.
    pub(super) fn answer_poll(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(id as usize) else {
            return;
        };
        let Transport::Polling(polling) = &mut connection.transport else {
            return;
        };
        if connection.outbox.pending.is_none() {
            return;
        }
        let Some((_, answer)) = polling.waiting.take() else {
            return;
        };
        let before = connection.outbox.pending_bytes();
        let body = packets(&mut connection.outbox);
        let taken = before - connection.outbox.pending_bytes();
        self.common.metrics.client_queue_bytes.dec_by(taken as i64);
        self.common.metrics.sent_bytes.inc_by(body.len() as u64);
        if answer.send(PollAnswer::Packets(body)).is_err() {
            self.close(id, CloseReason::PollAborted);
        }
    }

    /// Ends the GET that waits with an empty answer.
    pub(super) fn answer_noop(&mut self, id: u32) {
        let waiting = self.polling(id).and_then(|polling| polling.waiting.take());
        let Some((_, answer)) = waiting else { return };
        if answer.send(PollAnswer::Packets(NOOP.to_vec())).is_err() {
            self.close(id, CloseReason::PollAborted);
        }
    }

    /// Says the last word to a polling client whose session has ended.
    pub(super) fn answer_last(
        &mut self,
        polling: Polling,
        mut outbox: Outbox,
        reason: CloseReason,
    ) {
        let mut spans = Spans::new();
        self.round.take(&mut outbox, &mut spans);
        for span in spans {
            outbox.keep(bytes::Bytes::copy_from_slice(self.round.bytes(span)));
        }
        if let Some(probe) = polling.probe {
            self.finish(probe.wire, Outbox::new(), None, reason);
        }
        let Some((_, answer)) = polling.waiting else {
            return;
        };
        let last = match reason {
            CloseReason::ParseError | CloseReason::InvalidState | CloseReason::TooManyPackets => {
                PollAnswer::BadRequest
            }
            CloseReason::PollAborted => return,
            // A close packet would end it for good: python-socketio stays away after one. A session
            // that is not known any more is opened anew by every client.
            CloseReason::Shutdown => match packets(&mut outbox) {
                rest if rest.is_empty() => PollAnswer::UnknownSid,
                rest => PollAnswer::Packets(rest),
            },
            _ => {
                let mut body = packets(&mut outbox);
                if !body.is_empty() {
                    body.push(0x1e);
                }
                let end = if reason == CloseReason::ClientDisconnect {
                    NOOP
                } else {
                    CLOSE
                };
                body.extend_from_slice(end);
                PollAnswer::Packets(body)
            }
        };
        reply(answer, last);
    }

    pub(super) fn polling(&mut self, id: u32) -> Option<&mut Polling> {
        match &mut self.connections.get_mut(id as usize)?.transport {
            Transport::Polling(polling) => Some(polling),
            Transport::WebSocket(_) => None,
        }
    }
}

/// Takes packets for one answer out of an outbox.
fn packets(outbox: &mut Outbox) -> Vec<u8> {
    let mut body = Vec::new();
    let Some(pending) = &mut outbox.pending else {
        return body;
    };
    let mut encoder = payload::Encoder::new(&mut body, PACKETS_PER_ANSWER);
    let mut taken = 0;
    for chunk in &pending.chunks {
        let done = encoder.push(chunk);
        taken += done;
        if done < chunk.len() || encoder.is_full() {
            break;
        }
    }
    pending.advance(taken);
    if pending.len() == 0 {
        outbox.pending = None;
    }
    body
}

/// Answers a request whose client may have gone, in which case nothing is lost.
fn reply(answer: oneshot::Sender<PollAnswer>, with: PollAnswer) {
    answer.send(with).ok();
}
