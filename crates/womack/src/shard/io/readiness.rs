//! What the system and the clock tell a shard: sockets that are ready, deadlines that are over.
//!
//! All WebSockets of a shard are in one poll of its own, and that poll is one entry in the
//! runtime's. An idle client therefore has no task, no waker and no buffer.

use std::{io, time::Instant};

use mio::Events;
use womack_proto::CloseReason;

use super::nested_poll::NestedPoll;
use crate::{
    shard::{READ_BYTES, Shard, connections::connection::Protocol},
    sid::ConnectionId,
    websocket::Inbound,
};

/// Events taken at one go, between which other tasks of the shard run.
const EVENTS: usize = 1024;
/// Reads from one socket before others have their turn.
const READS_AT_ONCE: usize = 16;

/// The poll of a shard's WebSockets.
pub(crate) struct Readiness {
    poll: NestedPoll,
    events: Events,
}

impl Readiness {
    /// # Errors
    /// The system's.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: NestedPoll::new()?,
            events: Events::with_capacity(EVENTS),
        })
    }

    /// Where the shard registers its sockets.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn registry(&self) -> io::Result<mio::Registry> {
        self.poll.registry().try_clone()
    }

    /// Waits until sockets are ready. The events are then in [`Readiness::events`].
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        self.poll.wait(&mut self.events).await
    }

    /// Takes the sockets that are ready, without waiting.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        self.poll.look(&mut self.events)
    }

    pub(crate) const fn events(&self) -> &Events {
        &self.events
    }
}

impl Shard {
    /// Sockets are ready.
    pub(crate) fn ready(&mut self, events: &Events, now: Instant) {
        self.now = now;
        for event in events {
            let token = event.token().0;
            let buffer = &mut self.read_buffer;
            if self
                .closing_sockets
                .ready(event.token(), buffer, &self.poll)
            {
                continue;
            }
            let (Ok(slot), is_probe) = (u32::try_from(token >> 1), token & 1 == 1) else {
                continue;
            };
            let id = ConnectionId(slot);
            if event.is_writable() && !is_probe {
                self.write_pending(id);
            }
            let ends = event.is_read_closed() || event.is_error();
            if event.is_readable() || ends {
                self.read(id, is_probe, ends);
            }
        }
        self.flush();
    }

    /// Whether sockets have more than was read at one go. They say nothing by themselves.
    pub(crate) const fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Goes on reading where more was there.
    pub(crate) fn read_unread(&mut self, now: Instant) {
        self.now = now;
        for (id, is_probe) in std::mem::take(&mut self.unread) {
            self.read(id, is_probe, true);
        }
        self.flush();
    }

    /// Reads what the WebSocket that is to be the transport of `id` has, if there is one.
    pub(in crate::shard) fn read_probe(&mut self, id: ConnectionId) {
        if self
            .polling(id)
            .is_some_and(|polling| polling.probe.is_some())
        {
            self.read(id, true, false);
        }
    }

    /// Reads what a socket has, to its end if that is known to be there. An event that was for an
    /// earlier connection in the same place finds nothing to read.
    fn read(&mut self, id: ConnectionId, is_probe: bool, ends: bool) {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        for reads in 0.. {
            if reads == READS_AT_ONCE {
                self.unread.push((id, is_probe));
                break;
            }
            let connection = self.connections.get_mut(id.index());
            let Some(wire) = connection.and_then(|found| found.wire_mut(is_probe)) else {
                break;
            };
            match wire.read(&mut buffer) {
                Ok(None) => break,
                Ok(Some(0)) => {
                    self.end(id, is_probe, CloseReason::TransportClose);
                    break;
                }
                Ok(Some(count)) => {
                    self.decode(id, is_probe, &buffer[..count]);
                    // Less than there was room for: the socket is empty, and tells when it is not.
                    if count < READ_BYTES && !ends {
                        break;
                    }
                }
                Err(_) => {
                    self.end(id, is_probe, CloseReason::TransportError);
                    break;
                }
            }
        }
        self.read_buffer = buffer;
    }

    fn end(&mut self, id: ConnectionId, is_probe: bool, reason: CloseReason) {
        if is_probe {
            self.drop_probe(id);
        } else {
            self.close(id, reason);
        }
    }

    /// Bytes came in on a WebSocket.
    pub(in crate::shard) fn decode(&mut self, id: ConnectionId, is_probe: bool, bytes: &[u8]) {
        let mut inbound = std::mem::take(&mut self.inbound);
        let mut is_plain = false;
        if let Some(connection) = self.connections.get_mut(id.index()) {
            is_plain = matches!(connection.protocol, Protocol::Plain(_));
            if let Some(wire) = connection.wire_mut(is_probe) {
                self.decoder.decode(&mut wire.partial, bytes, &mut inbound);
            }
        }
        let (mut is_probe, now) = (is_probe, self.now);
        for inbound in inbound.drain(..) {
            if is_probe {
                is_probe = !self.probe_inbound(id, inbound);
                continue;
            }
            let is_end = matches!(inbound, Inbound::Closed(..));
            if !is_end && !self.keeps_pace(id, now) {
                break;
            }
            match inbound {
                Inbound::Reply(frame) => self.send(id, &frame),
                Inbound::Closed(reason, code) => self.close_with(id, reason, code),
                message if is_plain => self.plain_message(id, now, message),
                Inbound::Text(text) => self.with_session(id, |session, rules, out| {
                    session.handle_text(now, text.as_str(), rules, out);
                }),
                Inbound::Binary(data) => self.with_session(id, |session, rules, out| {
                    session.handle_binary(now, data, rules, out);
                }),
                // Engine.IO has heartbeats of its own.
                Inbound::Pong => {}
            }
        }
        self.inbound = inbound;
    }

    /// Notes when the connection `id` wants to be looked at.
    pub(in crate::shard) fn schedule(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id.index()) else {
            return;
        };
        let deadline = connection.deadline();
        let deadline = self
            .queue_deadline(id)
            .map_or(deadline, |at| at.min(deadline));
        self.wheel.set(id, deadline);
        self.wake_timer(deadline);
    }

    /// Makes sure that [`Shard::turn`] is called by `deadline`.
    pub(in crate::shard) fn wake_timer(&mut self, deadline: Instant) {
        if self.next_turn.is_none_or(|next| deadline < next) {
            self.next_turn = Some(deadline);
            self.timer.notify_one();
        }
    }

    /// Sees to the deadlines that are over.
    pub(crate) fn turn(&mut self, now: Instant) {
        self.now = now;
        if let Some(until) = self.stalls.catches_up(now) {
            // Bytes that came while the process did not run are read first.
            self.next_turn = Some(until);
            return;
        }
        let mut due = Vec::new();
        self.wheel.turn(now, &mut due);
        for id in due {
            let Some(connection) = self.connections.get(id.index()) else {
                continue;
            };
            if connection.protocol_deadline() <= now {
                self.protocol_timeout(id);
            }
            self.probe_timeout(id, now);
            self.queue_timeout(id, now);
            self.schedule(id);
        }
        self.expire_ages(now);
        self.expire_acks(now);
        self.expire_questions(now);
        self.closing_sockets.expire(now);
        self.flush();
        let waiting = [
            self.acks.next_deadline(),
            self.presence_queries.next_deadline(),
            self.closing_sockets.next_deadline(),
        ];
        self.next_turn = [self.wheel.next(), self.ages.next()]
            .into_iter()
            .chain(waiting)
            .flatten()
            .min();
    }

    /// The thread runs. To be called several times a second: memory may be short, to which other
    /// shards may have come.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = now;
        self.stalls.tick(now);
        self.relieve();
        self.flush();
    }

    /// When [`Shard::turn`] wants to be called.
    pub(crate) const fn next_turn(&self) -> Option<Instant> {
        self.next_turn
    }

    /// Told when [`Shard::next_turn`] has come nearer.
    pub(crate) fn timer(&self) -> std::rc::Rc<tokio::sync::Notify> {
        self.timer.clone()
    }

    /// Time has passed for what the client of `id` speaks.
    pub(in crate::shard) fn protocol_timeout(&mut self, id: ConnectionId) {
        let now = self.now;
        self.with_session(id, |session, rules, out| {
            session.handle_timeout(now, rules, out)
        });
        self.plain_timeout(id, now);
    }
}
