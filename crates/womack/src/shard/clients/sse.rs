//! Clients that take an event stream.
//!
//! Such a client is an HTTP request whose answer does not end. It names its channels in the
//! request, and is answered when all of them are live. The answer's body takes what the shard has
//! for it from an [`EventQueue`], as fast as the client reads.

use std::{rc::Rc, time::Instant};

use tokio::sync::{Notify, oneshot};
use womack_proto::{Channel, CloseReason, Form, NamespaceId, Plain, event_stream};

use super::{event_queue::EventQueue, event_stream::EventStream};
use crate::{
    admission::Admitted,
    command::Dialect,
    engine::{JoinAnswer, JoinReply},
    namespace::{JoinAcknowledged, Memberships},
    requests::{ChannelLimits, Problem},
    shard::{
        Shard,
        connections::connection::{Connection, Protocol, Transport},
        delivery::{
            pending::Fate,
            round::{Outbox, Spans},
        },
    },
    sid::{ConnectionId, Sid},
};

/// The body's side of an event stream.
pub(crate) struct Opened {
    pub(crate) sid: Sid,
    pub(crate) queue: Rc<EventQueue>,
    /// Says whether the channels are live, which is when the answer begins.
    pub(crate) live: oneshot::Receiver<bool>,
}

/// What a client asks of an event stream.
pub(crate) struct Wish<'a> {
    pub(crate) namespace: NamespaceId,
    pub(crate) channels: &'a [String],
    /// The event that the client had last.
    pub(crate) last: Option<&'a str>,
}

impl Shard {
    /// Opens an event stream. `cut` breaks its HTTP connection off.
    ///
    /// # Errors
    /// The client asks for no channel, for one that cannot be, or for too many.
    pub(crate) fn open_events(
        &mut self,
        endpoint: u8,
        wish: &Wish<'_>,
        cut: Rc<Notify>,
        admitted: Admitted,
        now: Instant,
    ) -> Result<Opened, Problem> {
        self.now = now;
        let limits = ChannelLimits::of(&self.common.config.limits.load());
        if wish.channels.is_empty() {
            return Err(Problem::NoChannel);
        }
        let channels = limits.channels(wish.channels)?;
        limits.admit(&channels, &NoChannels)?;
        let queue = Rc::new(EventQueue::new(cut, &self.ledger));
        let (opening, live) = oneshot::channel();
        let stream = EventStream {
            queue: queue.clone(),
            opening: Some(opening),
            batch: self.batch,
        };
        let timing = &self.common.rules.timing;
        let plain = Plain::open(Form::Events, wish.namespace, timing, self.now);
        let transport = Transport::Events(Box::new(stream));
        let id = self
            .open(transport, endpoint, Protocol::Plain(plain), admitted)
            .ok_or(Problem::Unavailable)?;
        let connection = &self.connections[id.index()];
        let sid = self.sid(id, connection.secret);
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
                live: String::new(),
                unavailable: String::new(),
            },
        };
        self.join_acknowledged(id, wish.namespace, join);
        self.flush();
        Ok(Opened { sid, queue, live })
    }

    /// The channels that an event stream was opened for are live, or will not be in time.
    pub(in crate::shard) fn begin_events(&mut self, id: ConnectionId, is_live: bool) {
        let Some(Connection {
            transport: Transport::Events(stream),
            ..
        }) = self.connections.get_mut(id.index())
        else {
            return;
        };
        if let Some(opening) = stream.opening.take() {
            // Nobody listens any more when the client has just gone.
            opening.send(is_live).ok();
        }
        if !is_live {
            self.close(id, CloseReason::Unavailable);
        }
    }

    /// The client of an event stream is gone.
    pub(crate) fn close_events(&mut self, sid: Sid, now: Instant) {
        self.now = now;
        if let Some(id) = self.find(sid) {
            self.close(id, CloseReason::TransportClose);
            self.flush();
        }
    }

    /// Ends the stream of a client whose connection has ended, with what is left for it.
    pub(in crate::shard) fn finish_events(
        &self,
        stream: &EventStream,
        mut outbox: Outbox,
        reason: CloseReason,
    ) {
        let mut spans = Spans::new();
        self.round.take(&mut outbox, &mut spans);
        match reason {
            CloseReason::SlowConsumer | CloseReason::MemoryBudget => stream.queue.cut(),
            // Nobody takes it any more.
            CloseReason::TransportClose => stream.queue.end(),
            _ => {
                let before = stream.queue.len();
                for span in spans {
                    let bytes = self.ledger.share(self.round.bytes(span).to_vec());
                    stream.queue.keep(bytes, Fate::Begun, self.now);
                }
                let kept = (stream.queue.len() - before) as i64;
                self.common
                    .metrics
                    .deliveries
                    .client_queue_bytes
                    .inc_by(kept);
                stream.queue.end();
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
