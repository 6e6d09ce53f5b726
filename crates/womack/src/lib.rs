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
//! Each shard is one thread that owns its connections; others reach it by its queue and read its
//! map of channels. The router is one thread, or a guest on the only shard's. With `--events-key`
//! there is a reporter thread, with a real Redis a relay thread, with `--diagnose-publishes` a
//! diagnosis thread.
//!
//! Protocols are in [`womack_proto`], delivery in [`womack_engine`], Redis in [`womack_redis`],
//! other nodes in [`womack_cluster`]; this crate has the command line, settings, HTTP and threads.
//!
//! | module | contents |
//! |---|---|
//! | `cli` | the command line and its subcommands |
//! | `config` | settings, their sources and checks |
//! | `server` | [`Server`], with the namespaces of a program |
//! | `runtime` | start, threads, drivers, signals, drain |
//! | `http` | requests of clients and operators |
//! | `admin` | surveys of channels, explanations, the diagnosis |
//! | `metrics`, `status`, `context` | the registry, the state of the server, what all threads share |
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
        Redis, RedisSource, Secret, ValueError,
        settings::{
            AddressShareSetting, ByteSize, Egress, LimitSettings, MessageRate, Milliseconds,
            NamespaceSetting, NamespaceValue, Network, NodeSettings, RedisSettings, Seconds,
            Settings, SlowClientPolicy,
        },
    },
    error::Error,
    server::Server,
};
