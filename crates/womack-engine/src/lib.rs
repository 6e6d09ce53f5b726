//! The fan-out engine of the womack server: one router and a shard for each core.
//!
//! ```text
//!        events of a subscriber                  requests to it
//!                 │                                    ▲
//!              ┌──▼────────────────────────────────────┴──┐
//!              │ Router    checks a message and frames it │◀──── channels that shards marked
//!              │           once, for the shards           │
//!              └──┬────────────────────────────────────┬──┘
//!         queue   │                                    │   queue
//!              ┌──▼───────────┐               ┌────────▼─────┐
//!              │ Shard 0      │       …       │ Shard N      │
//!              │ connections, │               │ connections, │
//!              │ topics, time │               │ topics, time │
//!              └──────────────┘               └──────────────┘
//! ```
//!
//! A [`Shard`] owns its clients. Other threads reach it by its queue, read its map of channels, and
//! take the channels that it marked; counters and limits are shared. A [`Router`] owns the table of
//! what Redis was asked for. Both are values that a driver calls: they start no threads.
//!
//! The engine knows neither HTTP nor Redis: requests are brought to a shard as [`SessionRequest`]s
//! and as sockets, and messages to the router as events of `womack_proto::subscriber`.
//!
//! | module | contents |
//! |---|---|
//! | `router` | messages to the shards, subscriptions to Redis |
//! | `publishers` | publishers of other families, and their channels |
//! | `shard` | clients, topics, delivery |
//! | `namespace` | the extension point, and the stock behaviour behind it |
//! | `encoding` | the bytes of a message for each kind of client |
//! | `command`, `session_request`, `report` | messages between threads |
//! | `queue`, `dirty_channels` | the ways that these messages take |
//! | `sync` | the primitives of these two, which `tests/models` has models of |
//! | `config`, `limits`, `context`, `metrics` | settings, what all parts have in common, counters |
//! | `channel_count`, `busy_channels` | how many channels the node has, and which bring most messages |
//! | `live`, `coverage`, `beat`, `throttle`, `timeout_queue` | replaceable settings, readiness, liveness, rate of log lines, deadlines |
//! | `sid` | session ids that name their node, shard and slot |
//! | `thread` | how drivers start their threads |

mod beat;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod busy_channels;
mod channel_count;
mod command;
mod config;
mod context;
mod coverage;
mod dirty_channels;
mod encoding;
mod limits;
mod live;
mod metrics;
mod namespace;
mod publishers;
mod queue;
mod report;
mod router;
mod session_request;
mod shard;
mod sid;
mod sync;
mod thread;
mod throttle;
mod timeout_queue;

pub use womack_ledger::ShardId;

#[cfg(any(test, feature = "simulation"))]
pub use self::shard::MemorySocket;

pub use self::{
    beat::Beat,
    busy_channels::BusyChannel,
    command::{
        Deed, Delivery, Gap, GapCause, Interest, Interests, LossNumber, LostScope, Note, Order,
        ToShard,
    },
    config::{Config, Publishers},
    context::{Context, ContextParts, Endpoint, Speaks},
    coverage::Coverage,
    dirty_channels::DirtyChannels,
    encoding::{Encoding, Published, Topic},
    limits::{FRAMING_BYTES, Limits},
    live::Live,
    metrics::{
        Clients, Deliveries, Messages as MessageMetrics, Metrics, NamespaceCounters,
        NamespaceMetrics, RouterMetrics, ShardMetrics, Shards, Transport,
    },
    namespace::{
        Channels, ChannelsSettings, Client, Entry, MessageClient, Messages, Namespace, Refusal,
        Registry, SlowClient, problem::Problem,
    },
    publishers::PublishersError,
    queue::{Receiver, Scale, Sender, queue, weighed_queue},
    report::{Count, Custom, Meta, Place, Question, Report, Reports},
    router::{Now, Output, Router, ShardSet, SubscriberRequest},
    session_request::{ClientSocket, RequestKind, SessionRequest, SocketSlots, number},
    shard::{
        CLOSING_TIME, ChannelsReader, EventQueue, Load, Opened, Readiness, Ring, Shard, Socket,
        SocketEvent, Sockets, TopicLoad, Wish,
    },
    sid::{ConnectionId, Sid, SidSource},
    thread::{start_thread, thread_runtime},
    throttle::Throttle,
    timeout_queue::{Ticket, TimeoutQueue},
};
