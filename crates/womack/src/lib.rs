//! Pushes what an application `PUBLISH`es on Redis to every browser that subscribed to it.
//!
//! ```text
//!                  PUBLISH womack:ns:default:hello {"data": …}
//!  application ───────────────────────▶ Redis
//!                                         │ SUBSCRIBE, only what somebody wants
//!                               ┌─────────▼──────────┐
//!                               │ router             │◀──── "look at this channel again"
//!                               │ checks a message,  │
//!                               │ frames it once     │
//!                               └──┬──────────────┬──┘
//!                          queue   │              │   queue
//!                       ┌──────────▼───┐      ┌───▼──────────┐
//!                       │ shard 0      │  …   │ shard N      │
//!                       │ listener     │      │ listener     │
//!                       │ connections  │      │ connections  │
//!                       │ DashMap, time│      │ DashMap, time│
//!                       └──────────────┘      └──────────────┘
//! ```
//!
//! Each shard is one thread that owns its connections and shares nothing but its queue and the
//! reading half of its map of channels. The router is one thread, or a guest on the only shard's.
//! Where the back end is to hear of clients there is one more, the reporter: shards tell it who
//! comes and goes, it tells Redis.
//!
//! What bytes mean is the business of [`womack_proto`], which does no I/O; this crate moves bytes
//! and knows no syntax. How Redis is reached, subscribed at and published to is in [`womack_redis`].
//!
//! A program of one's own registers a [`Namespace`] with a [`Server`], or publishes through a
//! [`Publisher`].

mod admission;
mod beat;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod channels;
mod check;
pub mod cli;
mod cluster;
mod command;
mod config;
mod diagnosis;
mod engine;
mod error;
mod explanation;
mod families;
mod http;
mod listen;
mod live;
mod metrics;
mod namespace;
mod near;
mod pulse;
mod queue;
mod report;
mod reporter;
mod requests;
mod router;
mod routes;
mod runtime;
mod server;
mod settings;
mod shard;
mod sid;
mod signals;
mod source;
mod status;
mod supervisor;
mod survey;
mod throttle;
mod websocket;
mod worker;

// The names under which the modules below know the ledger's types.
mod admission {
    pub(crate) use womack_ledger::{Admission, Admitted};
}
mod ledger {
    pub(crate) use womack_ledger::Limit;
}
mod memory {
    pub(crate) use womack_ledger::*;
}

pub use womack_proto::{Channel, ChannelError, CloseReason, Event, Message};
pub use womack_redis::{CommandError, Error as RedisError, Publisher, TlsFiles, UrlError};

pub use self::{
    channels::Channels,
    config::{Config, CorsOrigins, DEFAULT_KEY, Limits, Nodes, Redis, RedisSource},
    error::Error,
    live::Live,
    namespace::{Client, MessageClient, Messages, Namespace, Refusal},
    server::Server,
    settings::{
        ByteSize, CoalesceSetting, Egress, LimitSettings, NamespaceSetting, Network, NodeSettings,
        RedisSettings, Seconds, Settings, SlowClient, SlowClientSetting,
    },
};
