//! Everything that threads say to a shard.

use std::{collections::HashSet, sync::Arc, time::Instant};

use bytes::Bytes;
use smallvec::SmallVec;
use womack_proto::{
    Channel, Except, NamespaceId,
    publishers::{Frames, Selection},
    subscriber::Epoch,
};

use crate::{
    beat::Beat, encoding::Topic, report::Count, session_request::SessionRequest,
    timeout_queue::Ticket,
};

/// A shard's interest in a topic: from its first local subscriber until the last has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interest {
    /// The topic.
    pub topic: Topic,
    /// Tells it from earlier and later ones of the same topic; begins again at 2^32.
    pub number: u32,
}

/// A shard's interests in the topics of one Redis channel; nearly always one.
pub type Interests = SmallVec<[Interest; 2]>;

/// A command for a shard.
pub enum ToShard {
    /// Queue a message for the subscribers of a topic.
    Deliver(Delivery),
    /// Do what a publisher of another family wants.
    Order(Arc<Order>),
    /// Redis has confirmed the channel, over the connection with this epoch.
    Live {
        /// The channel.
        channel: Arc<str>,
        /// The interests of the shard that are live.
        interests: Interests,
        /// The epoch of the connection.
        epoch: Epoch,
    },
    /// Redis refuses the channel.
    Refused {
        /// The channel.
        channel: Arc<str>,
        /// The interests of the shard that end.
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
    Count {
        /// The number of the count.
        count: Count,
        /// The slot at which it begins.
        from: u32,
    },
    /// The answer to the presence query `token`; empty if no node knows it.
    Presence {
        /// The number of the query in its shard.
        token: Ticket,
        /// The answer, as JSON text.
        answer: Option<String>,
    },
    /// Answer, to show that the shard does its work.
    Beat(Beat),
    /// Close all clients evenly over a time, then end.
    Drain,
}

impl ToShard {
    /// The bytes of a message, or of an answer, that it brings to clients.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Deliver(delivery) => delivery.bytes.len(),
            Self::Order(order) => match &order.deed {
                Deed::Send(frames) => frames.max_bytes(),
                Deed::Join(_) | Deed::Leave(_) | Deed::Disconnect { .. } => 0,
            },
            Self::Presence { answer, .. } => answer.as_ref().map_or(0, String::len),
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

/// A time for which some channels brought nothing, or not all.
#[derive(Debug)]
pub struct Gap {
    /// The cause.
    pub cause: GapCause,
    /// The channels.
    pub channels: HashSet<Arc<str>>,
    /// The start of the gap, in Unix milliseconds. All earlier messages were received.
    pub from: u64,
    /// The end of the gap, in Unix milliseconds. All later messages arrive.
    pub to: u64,
}

/// Why messages were lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GapCause {
    /// The channels were lost at Redis.
    Loss {
        /// The number of the loss.
        number: LossNumber,
        /// Whether this is the last gap of the loss.
        is_last: bool,
    },
    /// The namespace had more messages than it may have.
    RateLimit(NamespaceId),
}

/// One message for the subscribers of one topic.
pub struct Delivery {
    /// The channel.
    pub channel: Arc<str>,
    /// The topic.
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

/// Data of a message about itself, for clients that read too slowly.
#[derive(Debug)]
pub struct Note {
    /// The channel.
    pub channel: Arc<str>,
    /// The topic.
    pub topic: Topic,
    /// A later message of the topic with the same key takes its place.
    pub key: Option<Box<str>>,
    /// When it is of no use any more.
    pub expires: Option<Instant>,
}

/// An action that a publisher of another family wants for some clients.
pub struct Order {
    /// The namespace of the clients.
    pub namespace: NamespaceId,
    /// The clients.
    pub clients: Selection,
    /// The action.
    pub deed: Deed,
    /// When the router took it from Redis.
    pub received: Instant,
}

/// An action that a publisher of another family wants.
pub enum Deed {
    /// Queue an event.
    Send(Frames),
    /// Put clients into channels.
    Join(Vec<Channel>),
    /// Take clients out of channels.
    Leave(Vec<Channel>),
    /// Take them out of the namespace, or `close` their connections.
    Disconnect {
        /// Whether connections end, and not only the place in the namespace.
        close: bool,
    },
}
