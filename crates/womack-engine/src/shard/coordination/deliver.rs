//! The delivery path: what other threads want, and one message to its subscribers.

use std::{sync::Arc, time::Instant};

use womack_proto::NamespaceId;

use crate::{
    command::{Delivery, Note, ToShard},
    namespace::SlowClient,
    session_request::{RequestKind, SessionRequest},
    shard::{Shard, delivery::pending::Fate},
};

impl Shard {
    /// Does what other threads want, and writes what came of it. Commands that come after a gap are
    /// left in `commands` until clients have been told of it.
    pub fn apply_commands(&mut self, commands: &mut Vec<ToShard>, now: Instant) {
        self.now = now;
        self.egress.begin_batch();
        self.metrics.batches.inc();
        self.metrics.commands.inc_by(commands.len() as u64);
        let end = gather(commands);
        // In place, so that the buffer serves for the next batch.
        for command in commands.drain(..end) {
            match command {
                ToShard::Deliver(delivery) => self.deliver(&delivery),
                ToShard::Order(order) => {
                    // It may be about those for whom messages wait.
                    self.finish_fan_outs(now);
                    self.order(&order);
                }
                ToShard::Live {
                    channel,
                    interests,
                    epoch,
                } => self.live(&channel, &interests, epoch),
                ToShard::Refused { channel, interests } => self.refused(&channel, &interests),
                ToShard::Lost(loss, scope) => self.subscriptions.lost(loss, &scope),
                ToShard::Gap(gap) => self.subscriptions.gap_ended(gap),
                ToShard::Beat(beat) => beat.answer(),
                ToShard::Count { count, from } => self.count(count, from),
                ToShard::Presence { token, answer } => {
                    self.answer_presence(token, answer.as_deref());
                }
                ToShard::Request(request) => self.request(*request),
                // The shard's tasks see to it.
                ToShard::Drain => {}
            }
            if self.egress.is_full() {
                self.flush();
            }
        }
        self.continue_fan_outs(now);
    }

    /// Does all that other threads want, without regard to others.
    pub fn apply_all(&mut self, commands: &mut Vec<ToShard>, now: Instant) {
        loop {
            self.apply_commands(commands, now);
            self.finish_fan_outs(now);
            while self.has_gaps_to_tell() {
                self.tell_gaps(now);
            }
            if commands.is_empty() {
                return;
            }
        }
    }

    /// Does what a client of this server asks of the session that it names.
    pub fn handle_request(&mut self, request: SessionRequest, now: Instant) {
        self.now = now;
        self.request(request);
        self.flush();
    }

    /// Does what a client asks of the session that it names, without writing yet.
    fn request(&mut self, SessionRequest { sid, kind }: SessionRequest) {
        match kind {
            RequestKind::Poll {
                token,
                stamp,
                answer,
            } => self.poll(sid, token, stamp, answer),
            RequestKind::PollAborted { token } => self.abort_poll(sid, token),
            RequestKind::AnswerLost { loss } => self.answer_lost(sid, loss),
            RequestKind::PollEnough { token } => self.end_poll(sid, token),
            RequestKind::Post { body, answer } => self.post(sid, &body, answer),
            RequestKind::Upgrade { socket, early } => self.probe(sid, socket.into(), &early),
            RequestKind::Attach { socket, early } => self.attach(sid, socket.into(), &early),
            RequestKind::Goodbye => self.goodbye(sid),
        }
    }

    /// The mark of a message: its fate at clients that read too slowly. `None` if messages need no
    /// marks.
    pub(in crate::shard) fn mark(
        &self,
        namespace: NamespaceId,
        note: Option<&Arc<Note>>,
    ) -> Option<Fate> {
        let slow_client = &self.context.registry.get(namespace).slow_client;
        self.context.marks_messages().then(|| match slow_client {
            SlowClient::Close => Fate::Kept,
            SlowClient::DropOldest => Fate::Oldest,
            SlowClient::Latest => note.cloned().map_or(Fate::Kept, Fate::Latest),
        })
    }

    /// Queues a frame for each subscriber.
    fn deliver(&mut self, delivery: &Delivery) {
        let (channel, topic) = (&delivery.channel, delivery.topic);
        let fate = self.mark(topic.namespace, delivery.note.as_ref());
        let excepted = self.excepted(&delivery.except, topic.namespace);
        let most = match self.context.config.limits.load().fanout_slice {
            0 => usize::MAX,
            most => most,
        };
        let (egress, connections) = (&mut self.egress, &mut self.connections);
        let reached = self
            .subscriptions
            .read(channel, topic, most, |subscribers| {
                let span = egress.append(&delivery.bytes, fate);
                let mut count = 0;
                for subscriber in subscribers {
                    let id = subscriber.connection;
                    if excepted.contains(&id) {
                        continue;
                    }
                    if let Some(connection) = connections.get_mut(id) {
                        egress.add(id, connection.outbox_mut(), span);
                        count += 1;
                    }
                }
                count
            });
        match reached {
            Some(Some(count)) => {
                self.metrics.deliveries.inc_by(count);
                self.egress.note_received(delivery.received);
            }
            Some(None) => self.fan_out(delivery),
            // Everybody has left since the router looked.
            None => {}
        }
    }
}

/// Puts messages of one encoding beside one another, as far as nothing else is between them. A
/// client's frames are then neighbours in the round's buffer, whatever others speak; and since a
/// client hears of a channel in one encoding, its messages stay in their order. Returns the number
/// of commands up to the first gap, and with it.
fn gather(commands: &mut [ToShard]) -> usize {
    let messages = |one: &ToShard, next: &ToShard| {
        matches!((one, next), (ToShard::Deliver(_), ToShard::Deliver(_)))
    };
    let encoding = |command: &ToShard| match command {
        ToShard::Deliver(delivery) => Some(delivery.topic.encoding),
        _ => None,
    };
    let mut count = 0;
    for run in commands.chunk_by_mut(messages) {
        count += run.len();
        if let [ToShard::Gap(_)] = run {
            break;
        }
        if !run.is_sorted_by_key(encoding) {
            run.sort_by_key(encoding);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use womack_proto::NamespaceId;

    use super::*;
    use crate::encoding::{Encoding, Topic};

    fn message(channel: &str, encoding: Encoding) -> ToShard {
        ToShard::Deliver(Delivery {
            channel: channel.into(),
            topic: Topic {
                namespace: NamespaceId::default(),
                encoding,
            },
            bytes: bytes::Bytes::new(),
            except: Default::default(),
            note: None,
            received: Instant::now(),
        })
    }

    #[test]
    fn messages_of_an_encoding_are_gathered_in_their_order_and_pass_nothing_else() {
        let (legacy, modern) = (Encoding::Legacy, Encoding::Modern);
        let mut commands = vec![
            message("a", modern),
            message("a", legacy),
            message("b", modern),
            message("b", legacy),
            ToShard::Drain,
            message("c", modern),
            message("c", legacy),
        ];
        gather(&mut commands);
        let found = commands.iter().map(|command| match command {
            ToShard::Deliver(delivery) => (&*delivery.channel, delivery.topic.encoding),
            _ => ("-", modern),
        });
        let expected = [
            ("a", legacy),
            ("b", legacy),
            ("a", modern),
            ("b", modern),
            ("-", modern),
            ("c", legacy),
            ("c", modern),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}
