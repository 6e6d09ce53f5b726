//! The kinds of clients that there can be.

use std::{mem, time::Instant};

use womack_proto::{Form, NamespaceId, Plain, Revision, Session, Timing};

use super::{
    event_stream::EventStream, polling::Polling, repetitions::Repetitions, upgrade::Probe,
};
use crate::{
    encoding::{Dialect, Encoding},
    metrics,
    shard::io::wire::Wire,
};

/// A client, by what it speaks, how far it has come and how it is reached.
pub(crate) enum Kind {
    /// Engine.IO, mostly with Socket.IO in it.
    Session(SessionClient),
    /// JSON lines over a WebSocket.
    Lines(PlainClient),
    /// Server-sent events.
    EventStream(Box<EventStream>),
    /// WebSocket messages that have no meaning here.
    Raw(PlainClient),
}

/// A client that has a session.
pub(crate) struct SessionClient {
    session: Session,
    transport: Transport,
    /// The polls of a client that has gone on over a WebSocket, if somebody had repeated one.
    repeated_polls: Option<Box<Repetitions>>,
}

/// How packets reach a client that has a session.
pub(crate) enum Transport {
    WebSocket(Wire),
    Polling(Box<Polling>),
}

/// A client of a WebSocket without Engine.IO.
pub(crate) struct PlainClient {
    plain: Plain,
    wire: Wire,
}

impl Kind {
    /// A client that has a session.
    pub(in crate::shard) const fn session_over(transport: Transport, session: Session) -> Self {
        Self::Session(SessionClient {
            session,
            transport,
            repeated_polls: None,
        })
    }

    /// A client that speaks JSON lines.
    pub(in crate::shard) fn lines(
        wire: Wire,
        namespace: NamespaceId,
        timing: &Timing,
        now: Instant,
    ) -> Self {
        let plain = Plain::open(Form::Lines, namespace, timing, now);
        Self::Lines(PlainClient { plain, wire })
    }

    /// A client whose messages have no meaning here.
    pub(in crate::shard) fn raw(
        wire: Wire,
        namespace: NamespaceId,
        timing: &Timing,
        now: Instant,
    ) -> Self {
        let plain = Plain::open(Form::Messages, namespace, timing, now);
        Self::Raw(PlainClient { plain, wire })
    }

    /// The deadline of the client.
    pub(in crate::shard) fn deadline(&self) -> Instant {
        let expected = self.polling().and_then(Polling::expected);
        let message = self.wire().and_then(Wire::message_deadline);
        let others = [expected, message, self.probe().map(Probe::next_deadline)];
        let deadlines = others.into_iter().flatten();
        deadlines.fold(self.protocol_deadline(), Instant::min)
    }

    /// When what the client speaks wants something to be done.
    pub(in crate::shard) fn protocol_deadline(&self) -> Instant {
        match self {
            Self::Session(client) => client.session.deadline(),
            Self::Lines(client) | Self::Raw(client) => client.plain.deadline(),
            Self::EventStream(stream) => stream.plain().deadline(),
        }
    }

    /// The session, unless the client speaks something else.
    pub(in crate::shard) const fn session(&self) -> Option<&Session> {
        match self {
            Self::Session(client) => Some(&client.session),
            Self::Lines(_) | Self::EventStream(_) | Self::Raw(_) => None,
        }
    }

    pub(in crate::shard) const fn session_mut(&mut self) -> Option<&mut Session> {
        match self {
            Self::Session(client) => Some(&mut client.session),
            Self::Lines(_) | Self::EventStream(_) | Self::Raw(_) => None,
        }
    }

    /// Whether a client without Engine.IO lives.
    pub(in crate::shard) fn plain_mut(&mut self) -> Option<&mut Plain> {
        match self {
            Self::Session(_) => None,
            Self::Lines(client) | Self::Raw(client) => Some(&mut client.plain),
            Self::EventStream(stream) => Some(stream.plain_mut()),
        }
    }

    fn plain(&self) -> Option<&Plain> {
        match self {
            Self::Session(_) => None,
            Self::Lines(client) | Self::Raw(client) => Some(&client.plain),
            Self::EventStream(stream) => Some(stream.plain()),
        }
    }

    /// The form of messages to a client without Engine.IO; `None` for a session.
    pub(in crate::shard) fn form(&self) -> Option<Form> {
        self.plain().map(Plain::form)
    }

    /// What revision of Engine.IO the client speaks, if it does.
    pub(in crate::shard) fn revision(&self) -> Option<Revision> {
        self.session().map(Session::revision)
    }

    /// Whether the client is in `namespace`.
    pub(in crate::shard) fn is_joined(&self, namespace: NamespaceId) -> bool {
        match self {
            Self::Session(client) => client.session.is_joined(namespace),
            _ => self.plain().and_then(Plain::namespace) == Some(namespace),
        }
    }

    /// The namespaces of a session that the client is in.
    pub(in crate::shard) fn joined(&self) -> Vec<NamespaceId> {
        self.session()
            .map_or_else(Vec::new, |session| session.joined().collect())
    }

    /// How messages of a channel are written for the client, if it joins speaking `dialect`.
    pub(in crate::shard) const fn encoding(&self, dialect: Dialect) -> Encoding {
        match self {
            Self::Session(client) => Encoding::of(client.session.revision(), dialect),
            Self::Lines(_) | Self::Raw(_) => Encoding::Lines,
            Self::EventStream(_) => Encoding::Events,
        }
    }

    /// How messages may be written for the client.
    pub(in crate::shard) const fn encodings(&self) -> &'static [Encoding] {
        match self {
            Self::Session(client) => Encoding::all_of(client.session.revision()),
            Self::Lines(_) | Self::Raw(_) => &[Encoding::Lines],
            Self::EventStream(_) => &[Encoding::Events],
        }
    }

    /// The WebSocket by which the client is reached, if it is.
    pub(in crate::shard) const fn wire(&self) -> Option<&Wire> {
        match self {
            Self::Session(SessionClient {
                transport: Transport::WebSocket(wire),
                ..
            }) => Some(wire),
            Self::Lines(client) | Self::Raw(client) => Some(&client.wire),
            Self::Session(_) | Self::EventStream(_) => None,
        }
    }

    pub(in crate::shard) const fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self {
            Self::Session(SessionClient {
                transport: Transport::WebSocket(wire),
                ..
            }) => Some(wire),
            Self::Lines(client) | Self::Raw(client) => Some(&mut client.wire),
            Self::Session(_) | Self::EventStream(_) => None,
        }
    }

    /// The state of a client that polls.
    pub(in crate::shard) fn polling(&self) -> Option<&Polling> {
        match self {
            Self::Session(SessionClient {
                transport: Transport::Polling(polling),
                ..
            }) => Some(polling),
            _ => None,
        }
    }

    pub(in crate::shard) fn polling_mut(&mut self) -> Option<&mut Polling> {
        match self {
            Self::Session(SessionClient {
                transport: Transport::Polling(polling),
                ..
            }) => Some(polling),
            _ => None,
        }
    }

    /// The polls of the client whose answers may turn out to be lost.
    pub(in crate::shard) fn repetitions_mut(&mut self) -> Option<&mut Repetitions> {
        match self {
            Self::Session(client) => match &mut client.transport {
                Transport::Polling(polling) => Some(polling.repetitions_mut()),
                Transport::WebSocket(_) => client.repeated_polls.as_deref_mut(),
            },
            _ => None,
        }
    }

    /// A WebSocket that asks to take over from polling, if one does.
    pub(in crate::shard) fn probe(&self) -> Option<&Probe> {
        self.polling().and_then(Polling::probe)
    }

    /// The state of a client that takes an event stream.
    pub(in crate::shard) fn event_stream_mut(&mut self) -> Option<&mut EventStream> {
        match self {
            Self::EventStream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Reaches the client, which has a session, by a WebSocket from now on.
    pub(in crate::shard) fn upgrade(&mut self, wire: Wire) {
        if let Self::Session(client) = self {
            let transport = mem::replace(&mut client.transport, Transport::WebSocket(wire));
            if let Transport::Polling(polling) = transport {
                client.repeated_polls = polling.into_repeated().map(Box::new);
            }
        }
    }

    /// How the client is counted.
    pub(in crate::shard) const fn label(&self) -> metrics::Transport {
        match self {
            Self::Session(SessionClient { transport, .. }) => match transport {
                Transport::WebSocket(_) => metrics::Transport::WebSocket,
                Transport::Polling(_) => metrics::Transport::Polling,
            },
            Self::Lines(_) | Self::Raw(_) => metrics::Transport::Plain,
            Self::EventStream(_) => metrics::Transport::Events,
        }
    }
}

impl SessionClient {
    /// The transport of a client whose session is over.
    pub(in crate::shard) fn into_transport(self) -> Transport {
        self.transport
    }
}

impl PlainClient {
    /// The WebSocket of a client that is gone.
    pub(in crate::shard) fn into_wire(self) -> Wire {
        self.wire
    }
}
