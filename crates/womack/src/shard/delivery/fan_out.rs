//! What a shard does for topics with many subscribers, between all else.

use std::time::Instant;

use smallvec::SmallVec;

use super::{
    deliver::ROUND_BYTES,
    round::Span,
    slices::{Fanout, Message},
};
use crate::{command::Delivery, shard::Shard};

impl Shard {
    /// Lets a message wait for its turn.
    pub(in crate::shard) fn fan_out(&mut self, delivery: &Delivery) {
        let message = Message {
            bytes: delivery.bytes.clone(),
            note: delivery.note.clone(),
            excepted: self.excepted(&delivery.except, delivery.topic.namespace),
            received: delivery.received,
        };
        let (channel, topic) = (&delivery.channel, delivery.topic);
        self.channels.hold(channel, topic);
        self.fanouts.push(channel, topic, message);
    }

    /// Whether messages wait for their turn, or for their next slice.
    pub(crate) fn has_fan_outs(&self) -> bool {
        !self.fanouts.is_empty()
    }

    /// Whether so many wait that no more should be taken.
    pub(crate) fn is_fanning_out_enough(&self) -> bool {
        self.fanouts.is_full()
    }

    /// Writes a slice of each topic that has one.
    pub(crate) fn continue_fan_outs(&mut self, now: Instant) {
        self.now = now;
        self.fan_out_some();
        self.flush();
    }

    /// Queues a slice of each topic that has one.
    fn fan_out_some(&mut self) {
        for _ in 0..self.fanouts.len() {
            let Some(mut fanout) = self.fanouts.next() else {
                return;
            };
            if self.fan_out_slice(&mut fanout) {
                self.fanouts.put_back(fanout);
            } else {
                self.fanouts.give_up(&fanout);
            }
            if self.round.len() > ROUND_BYTES {
                self.flush();
            }
        }
    }

    /// Writes all that waits, without regard to others.
    pub(crate) fn finish_fan_outs(&mut self, now: Instant) {
        while self.has_fan_outs() {
            self.continue_fan_outs(now);
        }
    }

    /// Queues one slice. False if nothing is left to do.
    fn fan_out_slice(&mut self, fanout: &mut Fanout) -> bool {
        if fanout.is_through() {
            let places = self.channels.hold(&fanout.channel, fanout.topic);
            let Some(places) = places.filter(|_| fanout.has_more()) else {
                return false;
            };
            self.fanouts.begin(fanout, places);
        }
        let slice = fanout.slice(self.common.config.limits.load().fanout_slice);
        let spans = self.append_all(fanout);
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            return false;
        };
        let whole = Span {
            start: first.start,
            end: last.end,
        };
        let messages = fanout.messages();
        let spares = messages.iter().any(|message| !message.excepted.is_empty());
        let (round, connections) = (&mut self.round, &mut self.connections);
        let mut count = 0;
        let (channel, topic) = (&fanout.channel, fanout.topic);
        self.channels.for_places(channel, topic, slice, |id| {
            let Some(connection) = connections.get_mut(id.index()) else {
                return;
            };
            let first = fanout.first_for(id);
            if first == 0 && !spares {
                round.add(id, &mut connection.outbox, whole);
                count += spans.len();
                return;
            }
            for (message, span) in messages.iter().zip(&spans).skip(first) {
                if !message.excepted.contains(&id) {
                    round.add(id, &mut connection.outbox, *span);
                    count += 1;
                }
            }
        });
        self.metrics.deliveries.inc_by(count as u64);
        if !fanout.is_through() {
            return true;
        }
        for message in fanout.messages() {
            self.note_received(message.received);
        }
        let has_more = fanout.has_more();
        let moved = self.channels.close_gaps(&fanout.channel, fanout.topic);
        if !has_more {
            self.channels.release(&fanout.channel, fanout.topic);
        }
        for (place, moved) in moved {
            let connection = self.connections.get_mut(moved.connection.index());
            let other = connection.and_then(|found| found.memberships.get_mut(moved.membership));
            if let Some(other) = other {
                other.place = place;
            }
        }
        has_more
    }

    /// Appends the messages of a pass to the round, one after the other.
    fn append_all(&mut self, fanout: &Fanout) -> SmallVec<[Span; 4]> {
        let marks = self.common.marks_messages();
        let spans = fanout.messages().iter().map(|message| {
            let span = self.round.append(&message.bytes);
            if marks {
                let fate = self.fate(fanout.topic.namespace, message.note.clone());
                self.round.mark(span, fate);
            }
            span
        });
        spans.collect()
    }
}
