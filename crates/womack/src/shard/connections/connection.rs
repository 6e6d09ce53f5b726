//! A shard's record of one session.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::oneshot;
use womack_proto::{
    Channel, CloseReason, Form, NamespaceId, Plain, Revision, Session, payload::Format,
};

use super::rate_limit::Pace;
use crate::{
    command::{Dialect, Encoding, PollAnswer},
    ledger::Limit,
    memory::Ledger,
    metrics,
    namespace::{self, Registry},
    shard::{
        clients::{event_stream::EventStream, repetitions::Repetitions},
        delivery::{
            pending::{Fate, Pending, Room, Thinned},
            round::Outbox,
        },
        io::wire::Wire,
        topics::memberships,
    },
};

/// A shard's record of one session. What an idle client costs is mostly this; a test asserts its
/// size.
pub(crate) struct Connection {
    pub(crate) protocol: Protocol,
    /// What cannot be guessed of the session's id.
    pub(crate) secret: u64,
    pub(crate) transport: Transport,
    pub(crate) outbox: Outbox,
    pub(crate) memberships: memberships::Memberships,
    /// Which of the server's endpoints the session was opened at.
    pub(crate) endpoint: u8,
    /// What it may still send.
    pub(crate) pace: Pace,
}

/// What a client speaks, and how far it has come.
pub(crate) enum Protocol {
    /// Engine.IO, mostly with Socket.IO in it.
    Session(Session),
    /// Neither of them.
    Plain(Plain),
}

/// How packets reach the client.
pub(crate) enum Transport {
    WebSocket(Wire),
    Polling(Box<Polling>),
    Events(Box<EventStream>),
}

/// A client that polls.
pub(crate) struct Polling {
    /// How its bodies are written.
    pub(crate) format: Format,
    /// The GET that waits for packets, and its number.
    pub(crate) waiting: Option<(u64, oneshot::Sender<PollAnswer>)>,
    /// A WebSocket that asks to take over.
    pub(crate) probe: Option<Probe>,
    /// Why the session ends with the first poll that finds nothing more, if it does.
    pub(crate) ending: Option<CloseReason>,
    /// Which GETs are repetitions of others.
    pub(crate) repetitions: Repetitions,
}

/// A WebSocket that asks to become a polling session's transport.
pub(crate) struct Probe {
    pub(crate) wire: Wire,
    /// Whether its probe was answered; from then on polls are ended soon.
    pub(crate) answered: bool,
    /// When its time is up.
    pub(crate) deadline: Instant,
    /// When a waiting poll is to be ended.
    pub(crate) noop_at: Option<Instant>,
}

impl Polling {
    pub(crate) const fn new(format: Format) -> Self {
        Self {
            format,
            waiting: None,
            probe: None,
            ending: None,
            repetitions: Repetitions::new(),
        }
    }
}

impl Connection {
    /// When this connection wants to be looked at.
    pub(crate) fn deadline(&self) -> Instant {
        let deadline = self.protocol_deadline();
        let Some(probe) = self.probe() else {
            return deadline;
        };
        let probe_deadline = probe
            .noop_at
            .map_or(probe.deadline, |at| at.min(probe.deadline));
        deadline.min(probe_deadline)
    }

    /// When what the client speaks wants something to be done.
    pub(crate) fn protocol_deadline(&self) -> Instant {
        match &self.protocol {
            Protocol::Session(session) => session.deadline(),
            Protocol::Plain(plain) => plain.deadline(),
        }
    }

    /// The session, unless the client speaks something else.
    pub(crate) const fn session(&self) -> Option<&Session> {
        match &self.protocol {
            Protocol::Session(session) => Some(session),
            Protocol::Plain(_) => None,
        }
    }

    /// What revision of Engine.IO the client speaks, if it does.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.session().map(Session::revision)
    }

    /// Whether the client is in `namespace`.
    pub(crate) fn is_joined(&self, namespace: NamespaceId) -> bool {
        match &self.protocol {
            Protocol::Session(session) => session.is_joined(namespace),
            Protocol::Plain(plain) => plain.namespace() == Some(namespace),
        }
    }

    /// How messages of a channel are written for the client, if it joins speaking `dialect`.
    pub(crate) const fn encoding(&self, dialect: Dialect) -> Encoding {
        match &self.protocol {
            Protocol::Session(session) => Encoding::of(session.revision(), dialect),
            Protocol::Plain(plain) => match plain.form() {
                Form::Events => Encoding::Events,
                Form::Lines | Form::Messages => Encoding::Lines,
            },
        }
    }

    /// How messages may be written for the client.
    pub(crate) const fn encodings(&self) -> &'static [Encoding] {
        match &self.protocol {
            Protocol::Session(session) => Encoding::all_of(session.revision()),
            Protocol::Plain(plain) => match plain.form() {
                Form::Events => &[Encoding::Events],
                Form::Lines | Form::Messages => &[Encoding::Lines],
            },
        }
    }

    /// Whether the session ends with one of the client's next polls.
    pub(crate) fn is_ending(&self) -> bool {
        match &self.transport {
            Transport::Polling(polling) => polling.ending.is_some(),
            Transport::WebSocket(_) | Transport::Events(_) => false,
        }
    }

    pub(crate) fn probe(&self) -> Option<&Probe> {
        match &self.transport {
            Transport::Polling(polling) => polling.probe.as_ref(),
            Transport::WebSocket(_) | Transport::Events(_) => None,
        }
    }

    pub(crate) fn wire_mut(&mut self, probe: bool) -> Option<&mut Wire> {
        match &mut self.transport {
            Transport::WebSocket(wire) if !probe => Some(wire),
            Transport::Polling(polling) if probe => {
                polling.probe.as_mut().map(|probe| &mut probe.wire)
            }
            _ => None,
        }
    }

    /// Keeps bytes that the client has still to take. Whether they replace others.
    pub(crate) fn keep(&mut self, bytes: Bytes, fate: Fate, now: Instant, ledger: &Ledger) -> bool {
        if let Transport::Events(stream) = &self.transport {
            return stream.queue.keep(bytes, fate, now);
        }
        let pending = &mut self.outbox.pending;
        let pending = pending.get_or_insert_with(|| Box::new(Pending::new(ledger)));
        pending.push(bytes, fate, now)
    }

    /// How many bytes the client has still to take.
    pub(crate) fn pending_bytes(&self) -> usize {
        match &self.transport {
            Transport::Events(stream) => stream.queue.len(),
            _ => self.outbox.pending_bytes(),
        }
    }

    /// As [`Pending::thin`].
    pub(crate) fn thin(&mut self, room: &Room, now: Instant) -> (Thinned, Option<Limit>) {
        match (&self.transport, &mut self.outbox.pending) {
            (Transport::Events(stream), _) => stream.queue.thin(room, now),
            (_, Some(pending)) => pending.thin(room, now),
            (_, None) => (Thinned::default(), None),
        }
    }

    /// What a message takes that has not come to its end.
    pub(crate) fn partial_bytes(&self) -> usize {
        let Transport::WebSocket(wire) = &self.transport else {
            return 0;
        };
        wire.partial.as_ref().map_or(0, |partial| partial.bytes())
    }

    /// Since when the oldest message waits that the client has still to take.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        match &self.transport {
            Transport::Events(stream) => stream.queue.oldest(),
            _ => self.outbox.pending.as_ref()?.oldest(),
        }
    }

    /// The socket of a client whose transport is a WebSocket.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.transport {
            Transport::WebSocket(wire) => Some(wire.as_fd()),
            Transport::Polling(_) | Transport::Events(_) => None,
        }
    }

    /// How the client is counted.
    pub(crate) const fn transport_label(&self) -> metrics::Transport {
        match (&self.protocol, &self.transport) {
            (_, Transport::Events(_)) => metrics::Transport::Events,
            (Protocol::Plain(_), _) => metrics::Transport::Plain,
            (_, Transport::WebSocket(_)) => metrics::Transport::WebSocket,
            (_, Transport::Polling(_)) => metrics::Transport::Polling,
        }
    }
}

/// The channels of a client in one namespace, as a handler may see them.
pub(crate) struct ChannelsOf<'a> {
    pub(crate) memberships: Option<&'a memberships::Memberships>,
    pub(crate) namespace: NamespaceId,
    /// Those that the client's topics may have.
    pub(crate) encodings: &'static [Encoding],
    pub(crate) registry: &'a Registry,
}

impl namespace::Memberships for ChannelsOf<'_> {
    fn count(&self) -> usize {
        let Some(memberships) = self.memberships else {
            return 0;
        };
        memberships
            .iter()
            .filter(|found| found.topic.namespace == self.namespace)
            .count()
    }

    fn contains(&self, channel: &Channel) -> bool {
        let Some(memberships) = self.memberships else {
            return false;
        };
        let channel = self
            .registry
            .redis_channel(self.namespace, channel.as_str());
        let found = memberships.find_any(&channel, self.namespace, self.encodings);
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_costs_what_is_written_down() {
        assert!(
            size_of::<Connection>() <= 192,
            "{}",
            size_of::<Connection>()
        );
    }
}
