//! Everything that can be set, filled from flags, environment, file and defaults, in that order.
//!
//! [`Settings`] is what an operator wrote, with values that may be absent. [`Config`] is what the
//! server runs with: complete, checked and immutable.

mod check;
mod defaults;
mod error;
mod limits;
mod nodes;
mod origins;
mod per_namespace;
mod redis;
mod reload;
mod resolve;
mod secret;
pub(crate) mod settings;

use std::time::Duration;

use serde::Serialize;
use womack_cluster::{RelayConfig, ReporterConfig};
pub use womack_engine::Limits;
use womack_engine::{Channels, ChannelsSettings, Live, Publishers, SlowClient};
use womack_proto::relay::SharedSecret;

pub(crate) use self::error::one_line;
use self::settings::{Egress, NamespaceSetting};
pub use self::{
    error::{ConfigError, LineError, ValueError},
    nodes::Nodes,
    origins::CorsOrigins,
    per_namespace::PerNamespace,
    redis::{Redis, RedisSource},
    secret::Secret,
};

/// The Redis channel prefix of a namespace that names none of its own.
pub const DEFAULT_KEY: &str = "womack:ns:default";

/// The settings of a server. Times are durations, sizes are bytes.
///
/// It is serialised to be compared with another, field by field, under the names of the flags; what
/// may change in a running server is left out.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// Host name or address to listen on.
    pub host: String,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Where messages come from, and how.
    #[serde(flatten)]
    pub redis: Redis,
    /// Redis channel prefix of namespaces without a key of their own.
    pub key: String,
    /// Namespaces beside `/`, with the stock behaviour.
    #[serde(rename = "namespace")]
    pub namespaces: Vec<NamespaceSetting>,
    /// Key of the publishers that use `@socket.io/redis-emitter` or one of its ports.
    pub emitter_key: Option<String>,
    /// Redis channel of the publishers that use python-socketio.
    pub python_channel: Option<String>,
    /// Prefix of Laravel's Redis channels.
    pub laravel_prefix: Option<String>,
    /// Whether Juggernaut's publishers are listened to, and its browser client is understood.
    pub juggernaut: bool,
    /// Who shows it may publish by HTTP, at `admin_listen`.
    #[serde(skip)]
    pub publish_key: Live<Option<String>>,
    /// Threads that own connections.
    pub shards: usize,
    /// How clients are written to.
    pub egress: Egress,
    /// Whether debug messages are logged.
    #[serde(skip)]
    pub debug: bool,
    /// Whether everything that is published is listened to, to find what nobody gets.
    pub diagnose_publishes: bool,
    /// Whether clients of Engine.IO 3 are refused, which are those of Socket.IO 1.x and 2.x.
    pub no_eio3: bool,
    /// Whether clients of Socket.IO 0.9 are refused.
    pub no_legacy: bool,
    /// Origins whose pages may connect.
    #[serde(rename = "cors-origin")]
    pub cors_origins: CorsOrigins,
    /// Address that serves `/metrics`, `/healthz` and `/readyz` instead of the public port.
    pub admin_listen: Option<String>,
    /// Time between the server's pings.
    pub ping_interval: Duration,
    /// How long an answer to a ping may take.
    pub ping_timeout: Duration,
    /// How long a request head, a request body, an upgrade or the first CONNECT may take, and how long
    /// a client may read nothing of an answer.
    #[serde(rename = "handshake-seconds")]
    pub handshake_timeout: Duration,
    /// For how long an HTTP connection stays open between two requests.
    #[serde(rename = "keep-alive-seconds")]
    pub keep_alive: Duration,
    /// How long a subscription may wait for Redis before its client is told `unavailable`.
    #[serde(rename = "subscribe-timeout-seconds")]
    pub subscribe_timeout: Duration,
    /// How long a channel that nobody wants stays subscribed at Redis.
    #[serde(rename = "unsubscribe-grace-seconds")]
    pub unsubscribe_grace: Duration,
    /// Over how long clients are closed when the server stops.
    #[serde(rename = "drain-seconds")]
    pub drain: Duration,
    /// How long messages are gathered so that each client is written to once for all of them.
    #[serde(rename = "coalesce-ms")]
    pub coalesce: PerNamespace<Duration>,
    /// The fate of messages for clients that read too slowly.
    pub slow_client: PerNamespace<SlowClient>,
    /// Messages that a namespace may have in a second; 0 for any number.
    pub max_messages_per_second: PerNamespace<u32>,
    /// Prefix of the Redis channels on which server events are published; `None` publishes none.
    pub events_key: Option<String>,
    /// Whether what clients send as `event` is published.
    pub client_events: bool,
    /// Namespaces, by their path, whose clients may ask who is in a channel.
    pub presence: Vec<String>,
    /// After how long without a sign of life a node is taken for dead.
    #[serde(rename = "node-timeout-seconds")]
    pub node_timeout: Duration,
    /// What stands between this node and its clients.
    #[serde(flatten)]
    pub nodes: Nodes,
    /// The limits of clients and publishers.
    #[serde(skip)]
    pub limits: Live<Limits>,
}

impl Config {
    /// The stock behaviour of a namespace; `key` is its Redis channel prefix, `None` means the
    /// server's.
    pub fn channels(&self, key: Option<String>) -> Channels {
        Channels::new(ChannelsSettings {
            key,
            limits: self.limits.clone(),
            client_events: self.client_events,
            presence: self.presence.clone(),
            juggernaut: self.juggernaut,
        })
    }

    /// The part that router and shards run with.
    pub(crate) fn engine(&self, is_cluster: bool) -> womack_engine::Config {
        womack_engine::Config {
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            handshake_timeout: self.handshake_timeout,
            subscribe_timeout: self.subscribe_timeout,
            unsubscribe_grace: self.unsubscribe_grace,
            max_connection_age: self.nodes.max_connection_age,
            gap_notices: self.redis.gap_notices,
            gap_hold_bytes: self.redis.gap_hold_bytes,
            is_cluster,
            publishers: Publishers {
                emitter_key: self.emitter_key.clone(),
                python_channel: self.python_channel.clone(),
                laravel_prefix: self.laravel_prefix.clone(),
                juggernaut: self.juggernaut,
            },
            limits: self.limits.clone(),
        }
    }

    /// The part that the relay runs with.
    pub(crate) fn relay(&self) -> RelayConfig {
        let secret = self.nodes.relay_secret.as_ref();
        RelayConfig {
            key: self.nodes.relay_key.clone(),
            secret: secret.map(|secret| SharedSecret::new(secret.reveal().as_bytes())),
            timeout: self.nodes.relay_timeout,
            poll_timeout: self.ping_interval + self.ping_timeout,
            max_requests: self.nodes.max_relayed_requests,
            max_bytes: self.nodes.max_relay_bytes,
            drain: self.drain,
        }
    }

    /// The part that the reporter runs with.
    pub(crate) fn reporter(&self) -> ReporterConfig {
        ReporterConfig {
            events_key: self.events_key.clone().unwrap_or_default(),
            node_timeout: self.node_timeout,
        }
    }
}
