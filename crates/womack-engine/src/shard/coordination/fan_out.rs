//! What a shard does for topics with many subscribers, between all else.

use std::time::Instant;

use smallvec::SmallVec;

use crate::{
    command::Delivery,
    shard::{
        Shard,
        delivery::{round::Span, slices::Message},
        topics::subscriptions::Slice,
    },
};

impl Shard {
    /// Lets a message wait for its turn.
    pub(in crate::shard) fn fan_out(&mut self, delivery: &Delivery) {
        let message = Message {
            bytes: delivery.bytes.clone(),
            note: delivery.note.clone(),
            excepted: self.excepted(&delivery.except, delivery.topic.namespace),
            received: delivery.received,
        };
        self.subscriptions
            .push(&delivery.channel, delivery.topic, message);
    }

    /// Whether messages wait for their turn, or for their next slice.
    pub fn has_fan_outs(&self) -> bool {
        self.subscriptions.has_slices()
    }

    /// Whether so many wait that no more should be taken.
    pub fn is_fanning_out_enough(&self) -> bool {
        self.subscriptions.has_enough_slices()
    }

    /// Writes a slice of each topic that has one.
    pub fn continue_fan_outs(&mut self, now: Instant) {
        self.now = now;
        self.fan_out_some();
        self.flush();
    }

    /// Writes all that waits, without regard to others.
    pub fn finish_fan_outs(&mut self, now: Instant) {
        while self.has_fan_outs() {
            self.continue_fan_outs(now);
        }
    }

    /// Queues a slice of each topic that has one.
    fn fan_out_some(&mut self) {
        for _ in 0..self.subscriptions.sliced_topics() {
            let most = self.context.config.limits.load().fanout_slice;
            if let Some(slice) = self.subscriptions.begin_slice(most) {
                self.fan_out_slice(slice);
            }
            if self.egress.is_full() {
                self.flush();
            }
        }
    }

    /// Queues one slice.
    fn fan_out_slice(&mut self, slice: Slice) {
        let spans = self.append_all(&slice);
        let messages = slice.messages();
        let spares = messages.iter().any(|message| !message.excepted.is_empty());
        let (egress, connections) = (&mut self.egress, &mut self.connections);
        let (whole, mut count) = (Span::over(&spans), 0);
        self.subscriptions.for_slice(&slice, |id, first| {
            let Some(connection) = connections.get_mut(id) else {
                return;
            };
            let outbox = connection.outbox_mut();
            if first == 0 && !spares {
                egress.add(id, outbox, whole);
                count += spans.len();
                return;
            }
            for (message, span) in messages.iter().zip(&spans).skip(first) {
                if !message.excepted.contains(&id) {
                    egress.add(id, outbox, *span);
                    count += 1;
                }
            }
        });
        self.metrics.deliveries.inc_by(count as u64);
        if slice.is_last() {
            for message in messages {
                self.egress.note_received(message.received);
            }
        }
        for moved in self.subscriptions.end_slice(slice) {
            self.connections.note_place(moved);
        }
    }

    /// Appends the messages of a slice to the round, one after the other.
    fn append_all(&mut self, slice: &Slice) -> SmallVec<[Span; 4]> {
        let spans = slice.messages().iter().map(|message| {
            let fate = self.mark(slice.namespace(), message.note.as_ref());
            self.egress.append(&message.bytes, fate)
        });
        spans.collect()
    }
}
