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

mod admin;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench {
    pub use womack_engine::bench::*;
}
pub mod cli;
mod config;
mod context;
mod error;
mod http;
mod metrics;
mod near;
mod runtime;
mod server;
mod status;
mod thread;

pub use womack_engine::{
    Channels, ChannelsSettings, Client, Live, MessageClient, Messages, Namespace, PublishersError,
    Refusal, SlowClient,
};
pub use womack_proto::{Channel, ChannelError, CloseReason, Event, Message};
pub use womack_redis::{
    CommandError, Error as RedisError, Publisher, TlsError, TlsFiles, UrlError,
};

pub use self::{
    admin::stats,
    config::{
        Config, ConfigError, CorsOrigins, DEFAULT_KEY, Limits, LineError, Nodes, PerNamespace,
        Redis, RedisSource, ValueError,
        settings::{
            ByteSize, Egress, LimitSettings, Milliseconds, NamespaceSetting, NamespaceValue,
            Network, NodeSettings, RedisSettings, Seconds, Settings, SlowClientPolicy,
        },
    },
    error::Error,
    server::Server,
};
