//! Clients that take an event stream.
//!
//! Such a client is an HTTP request whose answer does not end. It names its channels in the
//! request, and is answered when all of them are live. The answer's body takes what the shard has
//! for it from an [`EventQueue`], as fast as the client reads.

use std::{rc::Rc, time::Instant};

use tokio::sync::{Notify, oneshot};
use womack_ledger::Admitted;
use womack_proto::{Channel, CloseReason, Form, Plain, event_stream};

use crate::{
    encoding::Dialect,
    namespace::{
        JoinAcknowledged, Memberships,
        join::{JoinAnswer, JoinReply, JoinTexts},
        problem::Problem,
        requests::ChannelLimits,
    },
    shard::{
        Shard,
        clients::{
            event_queue::EventQueue,
            event_stream::EventStream,
            kind::Kind,
            sse::{Opened, Wish},
        },
        delivery::{pending::Fate, round::Outbox},
    },
    sid::{ConnectionId, Sid},
};

impl Shard {
    /// Opens an event stream. `cut` breaks its HTTP connection off.
    ///
    /// # Errors
    /// The client asks for no channel, for one that cannot be, or for too many.
    pub fn open_events(
        &mut self,
        endpoint: u8,
        wish: &Wish<'_>,
        cut: Rc<Notify>,
        admitted: Admitted,
        now: Instant,
    ) -> Result<Opened, Problem> {
        self.now = now;
        let limits = ChannelLimits::of(&self.context.config.limits.load());
        if wish.channels.is_empty() {
            return Err(Problem::NoChannel);
        }
        let channels = limits.channels(wish.channels)?;
        limits.admit(&channels, &NoChannels)?;
        let queue = Rc::new(EventQueue::new(cut, &self.ledger));
        let (opening, live) = oneshot::channel();
        let timing = &self.context.rules.timing;
        let plain = Plain::open(Form::Events, wish.namespace, timing, now);
        let stream = EventStream::open(queue.clone(), opening, self.egress.batch(), plain);
        let id = self
            .open(Kind::EventStream(Box::new(stream)), endpoint, admitted)
            .ok_or(Problem::Unavailable)?;
        let connection = self.connections.get(id).ok_or(Problem::Unavailable)?;
        let sid = self.ids.sid(connection.named(id));
        let first = event_stream::session(&self.client_id(id, connection, wish.namespace));
        self.send(id, first.as_bytes());
        if let Some(last) = wish.last {
            self.send(id, event_stream::gap(last).as_bytes());
        }
        let join = JoinAcknowledged {
            channels,
            dialect: Dialect::Events,
            answer: JoinAnswer {
                reply: JoinReply::StreamOpen,
                texts: JoinTexts::Stock,
            },
        };
        self.join_acknowledged(id, wish.namespace, join);
        self.flush();
        Ok(Opened { sid, queue, live })
    }

    /// The channels that an event stream was opened for are live, or will not be in time.
    pub(in crate::shard) fn begin_events(&mut self, id: ConnectionId, is_live: bool) {
        let connection = self.connections.get_mut(id);
        let Some(stream) = connection.and_then(|found| found.kind_mut().event_stream_mut()) else {
            return;
        };
        stream.begin(is_live);
        if !is_live {
            self.close(id, CloseReason::Unavailable);
        }
    }

    /// The client of an event stream is gone.
    pub fn close_events(&mut self, sid: Sid, now: Instant) {
        self.now = now;
        if let Some(id) = self.find(sid) {
            self.close(id, CloseReason::TransportClose);
        }
        self.flush();
    }

    /// Ends the stream of a client whose connection has ended, with what is left for it.
    pub(in crate::shard) fn finish_events(
        &mut self,
        stream: &EventStream,
        mut outbox: Outbox,
        reason: CloseReason,
    ) {
        let queue = stream.queue();
        match reason {
            CloseReason::SlowConsumer | CloseReason::MemoryBudget => queue.cut(),
            // Nobody takes it any more.
            CloseReason::TransportClose => queue.end(),
            _ => {
                let before = queue.bytes();
                for bytes in self.egress.take(&mut outbox) {
                    queue.keep(bytes, Fate::Begun, self.now);
                }
                let kept = (queue.bytes() - before) as i64;
                self.context
                    .metrics
                    .deliveries
                    .client_queue_bytes
                    .inc_by(kept);
                queue.end();
            }
        }
    }
}

/// The channels of a client that has just come.
struct NoChannels;

impl Memberships for NoChannels {
    fn count(&self) -> usize {
        0
    }

    fn contains(&self, _channel: &Channel) -> bool {
        false
    }
}
