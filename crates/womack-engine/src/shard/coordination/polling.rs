//! Answers the GETs and POSTs of sessions whose transport is HTTP long-polling.

use tokio::sync::oneshot;
use womack_proto::{
    Answer, CloseReason, PollBody, SessionError, frame,
    payload::{self, Format, Packet},
    relay::AnswerLoss,
};

use crate::{
    shard::{
        Shard,
        clients::{
            polling::{EndedPolling, Polling, encode, ends_session, last_answer, reply},
            repetitions::Verdict,
        },
        connections::{rate_limit::Work, recently_closed::Farewell},
        delivery::round::Outbox,
    },
    sid::{ConnectionId, Sid},
};

impl Shard {
    /// A GET asks for packets. It is answered at once if there are some, and waits otherwise.
    pub(in crate::shard) fn poll(
        &mut self,
        sid: Sid,
        token: u64,
        stamp: Option<u64>,
        answer: oneshot::Sender<Answer>,
    ) {
        let Some(id) = self.find(sid) else {
            return reply(answer, self.answer_late(sid));
        };
        // A client that has sent `5` polls no more, though the poll may have been read first.
        self.read_probe(id);
        let Some(polling) = self.connections.polling_mut(id) else {
            return reply(answer, Answer::Refused(SessionError::BadRequest));
        };
        // What a late one took would be lost in silence; and whoever reads its answer takes the session
        // for ended.
        if polling.is_waiting() || polling.is_late(stamp) {
            reply(answer, Answer::Refused(SessionError::BadRequest));
            return self.close(id, CloseReason::PollOverlap);
        }
        if polling.note_poll(stamp) == Verdict::Lost {
            reply(answer, Answer::Refused(SessionError::BadRequest));
            return self.close(id, CloseReason::PollAborted);
        }
        polling.wait(token, answer);
        let now = self.now;
        self.with_session(id, |session, rules, _| {
            session.handle_poll(now, rules);
        });
        self.answer_poll(id);
        let waiting = self
            .connections
            .polling_mut(id)
            .filter(|found| found.is_waiting());
        if let Some(reason) = waiting.and_then(|polling| polling.ending()) {
            return self.close(id, reason);
        }
        self.end_poll_soon(id);
    }

    /// A GET went away before it was answered: its session ends, since packets may be lost.
    pub(in crate::shard) fn abort_poll(&mut self, sid: Sid, token: u64) {
        let Some(id) = self.find(sid) else { return };
        let polling = self.connections.polling_mut(id);
        if polling.is_some_and(|polling| polling.is_waiting_for(token)) {
            self.close(id, CloseReason::PollAborted);
        }
    }

    /// The answer to a GET may not have reached its client: the session ends if it has not, since
    /// what the answer brought cannot be told again.
    pub(in crate::shard) fn answer_lost(&mut self, sid: Sid, loss: AnswerLoss) {
        let Some(id) = self.find(sid) else { return };
        let connection = self.connections.get_mut(id);
        let repetitions = connection.and_then(|connection| connection.kind_mut().repetitions_mut());
        let verdict = match (loss, repetitions) {
            (AnswerLoss::Certain, _) => Verdict::Lost,
            (AnswerLoss::IfRepeated(stamp), Some(repetitions)) => repetitions.unread(stamp),
            // A client that goes on over a WebSocket, and has never repeated a poll, had its answers.
            (AnswerLoss::IfRepeated(_), None) => Verdict::Open,
        };
        if verdict == Verdict::Lost {
            self.close(id, CloseReason::PollAborted);
        }
    }

    /// The node that a GET has reached is about to go: it is answered without waiting any longer.
    pub(in crate::shard) fn end_poll(&mut self, sid: Sid, token: u64) {
        let Some(id) = self.find(sid) else { return };
        let polling = self.connections.polling_mut(id);
        if polling.is_some_and(|polling| polling.is_waiting_for(token)) {
            self.answer_noop(id);
        }
    }

    /// A POST brings packets.
    pub(in crate::shard) fn post(
        &mut self,
        sid: Sid,
        body: &[u8],
        answer: oneshot::Sender<Answer>,
    ) {
        let done = self.take_packets(sid, body);
        // The client may have gone; its packets were taken all the same.
        answer.send(done.into()).ok();
    }

    fn take_packets(&mut self, sid: Sid, body: &[u8]) -> Result<(), SessionError> {
        let Some(id) = self.find(sid) else {
            let is_known = self.connections.was_closed_by_server(sid.secret, self.now);
            return match is_known {
                true => Err(SessionError::Ended),
                false => Err(SessionError::UnknownSid),
            };
        };
        let Some(polling) = self.connections.polling_mut(id) else {
            return Err(SessionError::BadRequest);
        };
        polling.note_request();
        let format = polling.format();
        let most = self.context.config.limits.load().max_packets_per_payload;
        let packets = match payload::decode(format, body, most) {
            Ok(packets) => packets,
            Err(error) => {
                self.close(id, error.close_reason());
                return Err(SessionError::BadRequest);
            }
        };
        let (mut last, now) = (Ok(()), self.now);
        for packet in packets {
            let bytes = match &packet {
                Packet::Text(text) => text.len(),
                Packet::Binary(data) => data.len(),
            };
            if !self.keeps_pace(id, Work::Packet(bytes)) {
                return Err(SessionError::BadRequest);
            }
            let is_close = ends_session(format, &packet);
            self.with_session(id, |session, rules, out| match packet {
                Packet::Text(text) => session.handle_polling_packet(now, &text, rules, out),
                Packet::Binary(data) => session.handle_binary(now, data, rules, out),
            });
            if self.find(sid).is_none() {
                last = if is_close {
                    Ok(())
                } else {
                    Err(SessionError::BadRequest)
                };
                break;
            }
        }
        last
    }

    /// Answers the GET that waits, if one does and there is something to say.
    pub(in crate::shard) fn answer_poll(&mut self, id: ConnectionId) {
        let polling = self.connections.polling_mut(id);
        if polling.is_some_and(|polling| polling.is_waiting())
            && let Some(body) = self.take_body(id)
        {
            self.answer(id, body);
        }
    }

    /// Takes what one answer has room for of what waits for a client; `None` if nothing does.
    pub(in crate::shard) fn take_body(&mut self, id: ConnectionId) -> Option<PollBody> {
        let connection = self.connections.get_mut(id)?;
        let format = connection.kind().polling()?.format();
        let taken = connection.outbox_mut().take_pending(self.now, |pending| {
            (pending.len() > 0).then(|| {
                let (body, taken) = encode(format, pending.chunks());
                pending.advance(taken);
                body
            })
        })?;
        let (deliveries, body) = (&self.context.metrics.deliveries, taken.result);
        deliveries.client_queue_bytes.dec_by(taken.gone as i64);
        deliveries.spared("expired", taken.expired);
        let bytes = body.as_ref().map_or(0, |body| body.bytes.len());
        deliveries.sent_bytes.inc_by(bytes as u64);
        body
    }

    /// Ends the GET that waits with an empty answer.
    pub(in crate::shard) fn answer_noop(&mut self, id: ConnectionId) {
        if let Some(format) = self
            .connections
            .polling_mut(id)
            .map(|polling| polling.format())
        {
            let noop = match format {
                Format::Legacy => womack_proto::legacy::NOOP,
                Format::Separated | Format::Counted { .. } => frame::NOOP,
            };
            self.answer(id, encode(format, [noop.as_bytes()]).0);
        }
    }

    /// Answers the GET that waits, if one does.
    fn answer(&mut self, id: ConnectionId, body: PollBody) {
        let waiting = self
            .connections
            .polling_mut(id)
            .and_then(|polling| polling.take_waiting());
        let Some(answer) = waiting else {
            return;
        };
        if answer.send(Answer::Packets(body)).is_err() {
            return self.close(id, CloseReason::PollAborted);
        }
        let now = self.now;
        self.with_session(id, |session, rules, _| {
            session.handle_poll_answered(now, rules);
        });
    }

    /// Says the last word to a polling client whose session has ended.
    pub(in crate::shard) fn answer_last(
        &mut self,
        polling: Polling,
        mut outbox: Outbox,
        reason: CloseReason,
    ) {
        self.egress.settle(&mut outbox, self.now);
        let EndedPolling {
            format,
            answer,
            probe,
        } = polling.into_ended();
        if let Some(probe) = probe {
            self.finish(probe, Outbox::new(), None, reason);
        }
        let Some(answer) = answer else {
            return;
        };
        if reason == CloseReason::PollAborted {
            return;
        }
        reply(answer, last_answer(format, &outbox, reason));
    }

    /// The answer to a GET for a session that is not there any more.
    fn answer_late(&mut self, sid: Sid) -> Answer {
        match self.connections.farewell(sid.secret, self.now) {
            Some(Farewell::Client(format)) => {
                last_answer(format, &Outbox::new(), CloseReason::ClientDisconnect)
            }
            Some(Farewell::Server) => Answer::Refused(SessionError::Ended),
            None => Answer::Refused(SessionError::UnknownSid),
        }
    }
}
