//! Everything that threads say to one another.

use std::{
    collections::HashSet,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::oneshot;
use womack_proto::{
    Channel, Except, Frame, NamespaceId, Revision,
    event_stream::{self, EventId},
    frame, legacy, lines,
    payload::Content,
    publishers::{Frames, Selection, juggernaut},
    relay::AnswerLoss,
    subscriber::Epoch,
};

use crate::{beat::Beat, report::Count, sid::Sid, timeout_queue::Ticket};

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
pub enum Dialect {
    /// By an event that has the channel's name.
    #[default]
    Events,
    /// By a message that names the channel, as Juggernaut did it. Only Socket.IO 0.9 has messages;
    /// for others it is the same as events.
    Juggernaut,
}

impl Encoding {
    /// What clients of `revision` expect that speak `dialect`.
    pub const fn of(revision: Revision, dialect: Dialect) -> Self {
        match (revision, dialect) {
            (Revision::Legacy, Dialect::Events) => Self::Legacy,
            (Revision::Legacy, Dialect::Juggernaut) => Self::Juggernaut,
            (Revision::V3 | Revision::V4, _) => Self::Modern,
        }
    }

    /// What clients of `revision` may expect.
    pub const fn all_of(revision: Revision) -> &'static [Self] {
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
    pub channel: &'a str,
    pub json: &'a [u8],
    pub id: EventId,
}

/// What tells the topics of one Redis channel apart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic {
    pub namespace: NamespaceId,
    pub encoding: Encoding,
}

/// A shard's interest in a topic: from its first local subscriber until the last has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interest {
    pub topic: Topic,
    /// Tells it from earlier and later ones of the same topic; begins again at 2^32.
    pub number: u32,
}

/// A shard's interests in the topics of one Redis channel; nearly always one.
pub type Interests = SmallVec<[Interest; 2]>;

/// What a shard is told.
pub enum ToShard {
    /// Queue a message for the subscribers of a topic.
    Deliver(Delivery),
    /// Do what a publisher of another family wants.
    Order(Arc<Order>),
    /// Redis has confirmed the channel, over the connection with this epoch.
    Live {
        channel: Arc<str>,
        interests: Interests,
        epoch: Epoch,
    },
    /// Redis refuses the channel.
    Refused {
        channel: Arc<str>,
        interests: Interests,
    },
    /// Channels that were live bring nothing until Redis has confirmed them again. A loss without a
    /// number concerns nobody.
    Lost(Option<LossNumber>, Arc<LostScope>),
    /// Channels that were lost are back, or nobody wants them any more; tell those who may have
    /// missed something, before anything that follows.
    Gap(Arc<Gap>),
    /// A request that another shard accepted for a session of this one.
    Request(Box<SessionRequest>),
    /// Report who is in which channel, beginning with the client in slot `from`.
    Count { count: Count, from: u32 },
    /// What the question `token` is answered; nothing if nobody knows.
    Presence {
        token: Ticket,
        answer: Option<String>,
    },
    /// Answer, to show that the shard does its work.
    Beat(Beat),
    /// Close all clients evenly over a time, then end.
    Drain,
}

impl ToShard {
    /// The bytes of a message that it brings to clients.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Deliver(delivery) => delivery.bytes.len(),
            Self::Order(order) => match &order.deed {
                Deed::Send(frames) => frames.max_bytes(),
                Deed::Join(_) | Deed::Leave(_) | Deed::Disconnect { .. } => 0,
            },
            _ => 0,
        }
    }
}

/// The number of a loss; later losses have greater ones.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct LossNumber(pub u32);

/// The channels that a loss concerns.
#[derive(Debug)]
pub enum LostScope {
    /// Those that were confirmed over this connection.
    Connection(Epoch),
    /// These.
    Channels(HashSet<Arc<str>>),
}

/// A time for which some channels brought nothing.
#[derive(Debug)]
pub struct Gap {
    /// The loss that it comes of.
    pub loss: LossNumber,
    pub channels: HashSet<Arc<str>>,
    /// What was published before has been received; in Unix milliseconds.
    pub from: u64,
    /// What was published later arrives; in Unix milliseconds.
    pub to: u64,
    /// Whether no other gap comes of the loss.
    pub is_last: bool,
}

/// One message for the subscribers of one topic.
pub struct Delivery {
    pub channel: Arc<str>,
    pub topic: Topic,
    /// The message as clients get it: a WebSocket frame, or an event of a stream.
    pub bytes: Bytes,
    /// Sessions that must not get it; nearly always none.
    pub except: Except,
    /// What it says of itself for clients that read too slowly.
    pub note: Option<Arc<Note>>,
    /// When the router took it from Redis.
    pub received: Instant,
}

/// What a message says of itself for clients that read too slowly.
#[derive(Debug)]
pub struct Note {
    pub channel: Arc<str>,
    pub topic: Topic,
    /// A later message of the topic with the same key takes its place.
    pub key: Option<Box<str>>,
    /// When it is of no use any more.
    pub expires: Option<Instant>,
}

/// What a publisher of another family wants done for some clients.
pub struct Order {
    pub namespace: NamespaceId,
    pub clients: Selection,
    pub deed: Deed,
    /// When the router took it from Redis.
    pub received: Instant,
}

pub enum Deed {
    /// Queue an event.
    Send(Frames),
    Join(Vec<Channel>),
    Leave(Vec<Channel>),
    /// Take them out of the namespace, or `close` their connections.
    Disconnect {
        close: bool,
    },
}

/// A number that no other request of this process has.
pub fn number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// A request of a polling client, or its change to a WebSocket, for the session `sid`.
pub struct SessionRequest {
    pub sid: Sid,
    pub kind: RequestKind,
}

pub enum RequestKind {
    /// A GET that waits for packets.
    Poll {
        token: u64,
        /// As [`womack_proto::Handshake::stamp`].
        stamp: Option<u64>,
        answer: oneshot::Sender<PollAnswer>,
    },
    /// The GET with this token went away before it was answered.
    PollAborted { token: u64 },
    /// The answer to a GET may not have reached its client.
    AnswerLost { loss: AnswerLoss },
    /// The GET with this token is to be answered without waiting any longer.
    PollEnough { token: u64 },
    /// A POST with packets.
    Post {
        body: Bytes,
        answer: oneshot::Sender<PostAnswer>,
    },
    /// A WebSocket that asks to become the session's transport; `early` was read already.
    Upgrade { stream: TcpStream, early: Bytes },
    /// The WebSocket of a Socket.IO 0.9 client that has shaken hands.
    Attach { stream: TcpStream, early: Bytes },
    /// A Socket.IO 0.9 client says that it is gone.
    Goodbye,
}

/// What a GET is answered.
#[derive(Debug)]
pub enum PollAnswer {
    /// Packets.
    Packets(PollBody),
    /// There is no such session, or no more.
    UnknownSid,
    /// The session's node is gone, or does not answer in time.
    NodeGone,
    /// The session has left polling, or another GET was there first.
    BadRequest,
    /// The session ends here, and the client is to open another: the server stops, or lost the way
    /// to the session's node.
    Ended,
    /// The request was not brought to its session, and may be repeated.
    Unavailable,
}

/// The body of an answer that brings packets.
#[derive(Debug)]
pub struct PollBody {
    pub bytes: Vec<u8>,
    /// What the bytes are.
    pub content: Content,
}

/// What a POST is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PostAnswer {
    /// The packets were taken.
    Ok,
    /// There is no such session, or no more.
    UnknownSid,
    /// The session's node is gone, or does not answer in time.
    NodeGone,
    /// The session has left polling, or the packets were none.
    BadRequest,
    /// The session ends here, and the client is to open another: the server stops, or lost the way
    /// to the session's node.
    Ended,
    /// The request was not brought to its session, and may be repeated.
    Unavailable,
}
