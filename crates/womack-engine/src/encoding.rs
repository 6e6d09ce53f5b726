//! The bytes of a published message, for each kind of client.

use bytes::Bytes;
use womack_proto::{
    Frame, NamespaceId, Revision,
    event_stream::{self, EventId},
    frame, legacy, lines,
    publishers::juggernaut,
};

/// Which bytes a published message has; clients of one encoding share their frames.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Encoding {
    /// Socket.IO 0.9.
    Legacy,
    /// Socket.IO 0.9 as Juggernaut's client expects it.
    Juggernaut,
    /// Socket.IO 1 and later.
    Modern,
    /// JSON lines.
    Lines,
    /// Server-sent events.
    Events,
}

/// How a client wants to be told what is published on a channel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// By an event that has the channel's name.
    #[default]
    Events,
    /// By a message that names the channel, as Juggernaut did it. Only Socket.IO 0.9 has messages;
    /// for others it is the same as events.
    Juggernaut,
}

impl Encoding {
    /// What clients of `revision` expect that speak `dialect`.
    pub(crate) const fn of(revision: Revision, dialect: Dialect) -> Self {
        match (revision, dialect) {
            (Revision::Legacy, Dialect::Events) => Self::Legacy,
            (Revision::Legacy, Dialect::Juggernaut) => Self::Juggernaut,
            (Revision::V3 | Revision::V4, _) => Self::Modern,
        }
    }

    /// What clients of `revision` may expect.
    pub(crate) const fn all_of(revision: Revision) -> &'static [Self] {
        match revision {
            Revision::Legacy => &[Self::Legacy, Self::Juggernaut],
            Revision::V3 | Revision::V4 => &[Self::Modern],
        }
    }

    /// The encoding as operators are told of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "socket.io-0.9",
            Self::Juggernaut => "juggernaut",
            Self::Modern => "socket.io",
            Self::Lines => "ws",
            Self::Events => "sse",
        }
    }

    /// What stands before a message of `channel` in its packet.
    pub fn prefix(self, namespace: &str, channel: &str) -> Vec<u8> {
        match self {
            Self::Legacy => legacy::event_prefix(namespace, channel),
            Self::Juggernaut => legacy::message_prefix(namespace),
            Self::Modern => frame::event_prefix(namespace, channel),
            Self::Lines => lines::message_prefix(channel),
            Self::Events => event_stream::message_prefix(channel),
        }
    }

    /// A message as clients get it; `prefix` is that of its channel.
    pub fn message(self, prefix: &[u8], published: &Published<'_>) -> Bytes {
        let &Published { channel, json, id } = published;
        match self {
            Self::Legacy => legacy::event(prefix, json).into_bytes(),
            Self::Juggernaut => {
                Frame::text(&[prefix, &juggernaut::encode(channel, json)]).into_bytes()
            }
            Self::Modern => frame::event(prefix, json).into_bytes(),
            Self::Lines => lines::message(prefix, json).into_bytes(),
            Self::Events => event_stream::message(prefix, id, json),
        }
    }
}

/// A message that is to be written for clients.
pub struct Published<'a> {
    /// The channel, as clients call it.
    pub channel: &'a str,
    /// The data, as JSON text.
    pub json: &'a [u8],
    /// The id of the event, for event streams.
    pub id: EventId,
}

/// The parts that tell the topics of one Redis channel apart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic {
    /// The namespace.
    pub namespace: NamespaceId,
    /// The encoding of its messages.
    pub encoding: Encoding,
}

#[cfg(test)]
impl Topic {
    /// The topic of `namespace` in the encoding that most clients speak.
    pub(crate) const fn modern(namespace: u16) -> Self {
        Self {
            namespace: NamespaceId(namespace),
            encoding: Encoding::Modern,
        }
    }
}
