//! What an operator wrote: flags, environment and file share one struct, so that a flag, its
//! `WOMACK_*` variable and its key in the file cannot drift apart.

mod values;

use std::{fs, path::PathBuf};

use serde::Deserialize;

use self::values::one_or_many;
pub use self::values::{CoalesceSetting, Egress, NamespaceSetting, Seconds};
use crate::error::Error;

/// What an operator wrote, on the command line, in the environment or in the file.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Host name or address to listen on [default: 0.0.0.0]
    #[arg(short = 'H', long, env = "WOMACK_HOST")]
    pub host: Option<String>,

    /// Port to listen on, 0 for any free one [default: 8111]
    #[arg(short, long, env = "WOMACK_PORT")]
    pub port: Option<u16>,

    /// Host of the Redis server [default: localhost]
    #[arg(long, env = "WOMACK_REDIS_HOST", value_name = "HOST")]
    #[serde(alias = "redis_host")]
    pub redis_host: Option<String>,

    /// Port of the Redis server [default: 6379]
    #[arg(long, env = "WOMACK_REDIS_PORT", value_name = "PORT")]
    #[serde(alias = "redis_port")]
    pub redis_port: Option<u16>,

    /// URL of the Redis server, `redis://[user:password@]host[:port][/db]` or `unix:///path`, or
    /// `embedded`, whose port is then --redis-port; otherwise wins over --redis-host and
    /// --redis-port
    #[arg(long, env = "WOMACK_REDIS_URL", value_name = "URL")]
    #[serde(alias = "redis_url")]
    pub redis_url: Option<String>,

    /// Prefix of the Redis channels [default: womack:ns:default]
    #[arg(long, env = "WOMACK_KEY")]
    pub key: Option<String>,

    /// Further namespace, `/path` or `/path=key`; may be given again
    #[arg(
        long,
        env = "WOMACK_NAMESPACE",
        value_name = "PATH[=KEY]",
        value_delimiter = ','
    )]
    pub namespace: Option<Vec<NamespaceSetting>>,

    /// Deliver what @socket.io/redis-emitter and its ports publish with this key, usually
    /// `socket.io`
    #[arg(long, env = "WOMACK_EMITTER_KEY", value_name = "KEY")]
    #[serde(alias = "emitter_key")]
    pub emitter_key: Option<String>,

    /// Deliver what python-socketio's RedisManager publishes on this channel, usually `socketio`
    #[arg(long, env = "WOMACK_PYTHON_CHANNEL", value_name = "CHANNEL")]
    #[serde(alias = "python_channel")]
    pub python_channel: Option<String>,

    /// Deliver what Laravel broadcasts with this prefix, which may be empty
    #[arg(long, env = "WOMACK_LARAVEL_PREFIX", value_name = "PREFIX")]
    #[serde(alias = "laravel_prefix")]
    pub laravel_prefix: Option<String>,

    /// Deliver what is published on Juggernaut's channel, and understand its browser client
    #[arg(
        long,
        env = "WOMACK_JUGGERNAUT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub juggernaut: Option<bool>,

    /// Take POST /publish at --admin-listen from those who show this key
    #[arg(
        long,
        env = "WOMACK_PUBLISH_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    #[serde(alias = "publish_key")]
    pub publish_key: Option<String>,

    /// Threads that own connections [default: one per core]
    #[arg(long, env = "WOMACK_SHARDS", value_name = "N")]
    pub shards: Option<usize>,

    /// How clients are written to: `write`, `io-uring`, or `auto` for io_uring where the system
    /// has it [default: auto]
    #[arg(long, env = "WOMACK_EGRESS", value_name = "HOW")]
    pub egress: Option<Egress>,

    /// TOML file with any of these settings, by the same names
    #[arg(long, env = "WOMACK_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Log debug messages
    #[arg(
        long,
        env = "WOMACK_DEBUG",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub debug: Option<bool>,

    /// Refuse clients of Engine.IO 3, which are those of Socket.IO 1.x and 2.x
    #[arg(
        long,
        env = "WOMACK_NO_EIO3",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    #[serde(alias = "no_eio3")]
    pub no_eio3: Option<bool>,

    /// Refuse clients of Socket.IO 0.9, among them the script of Womack 0.1.1
    #[arg(
        long,
        env = "WOMACK_NO_LEGACY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    #[serde(alias = "no_legacy")]
    pub no_legacy: Option<bool>,

    /// Origin whose pages may connect, or `*` for every one; may be given again [default: *]
    #[arg(
        long,
        env = "WOMACK_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    #[serde(alias = "cors_origin", deserialize_with = "one_or_many")]
    pub cors_origin: Option<Vec<String>>,

    /// Address of its own for /metrics, /healthz and /readyz
    #[arg(long, env = "WOMACK_ADMIN_LISTEN", value_name = "HOST:PORT")]
    #[serde(alias = "admin_listen")]
    pub admin_listen: Option<String>,

    /// Seconds between pings [default: 25]
    #[arg(long, env = "WOMACK_PING_INTERVAL", value_name = "SECONDS")]
    #[serde(alias = "ping_interval")]
    pub ping_interval: Option<Seconds>,

    /// Seconds that the answer to a ping may take [default: 20]
    #[arg(long, env = "WOMACK_PING_TIMEOUT", value_name = "SECONDS")]
    #[serde(alias = "ping_timeout")]
    pub ping_timeout: Option<Seconds>,

    /// Seconds that a request, an upgrade or the first CONNECT may take [default: 10]
    #[arg(long, env = "WOMACK_HANDSHAKE_SECONDS", value_name = "SECONDS")]
    #[serde(alias = "handshake_seconds")]
    pub handshake_seconds: Option<Seconds>,

    /// Seconds that a subscription waits for Redis before the client is told `unavailable`
    /// [default: 5]
    #[arg(long, env = "WOMACK_SUBSCRIBE_TIMEOUT_SECONDS", value_name = "SECONDS")]
    #[serde(alias = "subscribe_timeout_seconds")]
    pub subscribe_timeout_seconds: Option<Seconds>,

    /// Seconds that an unwanted channel stays subscribed at Redis [default: 2]
    #[arg(long, env = "WOMACK_UNSUBSCRIBE_GRACE_SECONDS", value_name = "SECONDS")]
    #[serde(alias = "unsubscribe_grace_seconds")]
    pub unsubscribe_grace_seconds: Option<Seconds>,

    /// Seconds over which clients are closed when the server stops [default: 5]
    #[arg(long, env = "WOMACK_DRAIN_SECONDS", value_name = "SECONDS")]
    #[serde(alias = "drain_seconds")]
    pub drain_seconds: Option<Seconds>,

    /// Milliseconds for which messages are gathered into one write, `N` or `/path=N` for one
    /// namespace; may be given again [default: 0]
    #[arg(
        long,
        env = "WOMACK_COALESCE_MS",
        value_name = "MS",
        value_delimiter = ','
    )]
    #[serde(alias = "coalesce_ms", deserialize_with = "one_or_many")]
    pub coalesce_ms: Option<Vec<CoalesceSetting>>,

    /// Prefix of the Redis channels on which server events are published, as they are not
    /// otherwise: KEY:subscribe, KEY:unsubscribe and KEY:custom
    #[arg(long, env = "WOMACK_EVENTS_KEY", value_name = "KEY")]
    #[serde(alias = "events_key")]
    pub events_key: Option<String>,

    /// Publish what clients send as `event`; needs --events-key
    #[arg(
        long,
        env = "WOMACK_CLIENT_EVENTS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    #[serde(alias = "client_events")]
    pub client_events: Option<bool>,

    /// Namespace whose clients may ask who is in a channel; may be given again; needs
    /// --events-key
    #[arg(
        long,
        env = "WOMACK_PRESENCE",
        value_name = "PATH",
        value_delimiter = ','
    )]
    #[serde(deserialize_with = "one_or_many")]
    pub presence: Option<Vec<String>>,

    /// Seconds after which a node that gives no sign of life is taken for dead [default: 15]
    #[arg(long, env = "WOMACK_NODE_TIMEOUT_SECONDS", value_name = "SECONDS")]
    #[serde(alias = "node_timeout_seconds")]
    pub node_timeout_seconds: Option<Seconds>,

    /// Largest message from a client, in bytes [default: 1000000]
    #[arg(long, env = "WOMACK_MAX_PAYLOAD", value_name = "BYTES")]
    #[serde(alias = "max_payload")]
    pub max_payload: Option<usize>,

    /// Largest message from Redis, in bytes [default: 1048576]
    #[arg(long, env = "WOMACK_MAX_MESSAGE_BYTES", value_name = "BYTES")]
    #[serde(alias = "max_message_bytes")]
    pub max_message_bytes: Option<usize>,

    /// Longest channel name, in bytes [default: 1024]
    #[arg(long, env = "WOMACK_MAX_CHANNEL_BYTES", value_name = "BYTES")]
    #[serde(alias = "max_channel_bytes")]
    pub max_channel_bytes: Option<usize>,

    /// Channels that one client may subscribe to [default: 1000]
    #[arg(long, env = "WOMACK_MAX_CHANNELS_PER_CLIENT", value_name = "N")]
    #[serde(alias = "max_channels_per_client")]
    pub max_channels_per_client: Option<usize>,

    /// Channels that one message to POST /publish, or of Juggernaut, may name [default: 100]
    #[arg(long, env = "WOMACK_MAX_CHANNELS_PER_PUBLISH", value_name = "N")]
    #[serde(alias = "max_channels_per_publish")]
    pub max_channels_per_publish: Option<usize>,

    /// Bytes that may wait for one client before it is cut off; at least one largest message
    /// [default: 1048576]
    #[arg(long, env = "WOMACK_MAX_CLIENT_QUEUE_BYTES", value_name = "BYTES")]
    #[serde(alias = "max_client_queue_bytes")]
    pub max_client_queue_bytes: Option<usize>,

    /// Packets in one polling body from a client [default: 1000]
    #[arg(long, env = "WOMACK_MAX_PACKETS_PER_PAYLOAD", value_name = "N")]
    #[serde(alias = "max_packets_per_payload")]
    pub max_packets_per_payload: Option<usize>,

    /// Subscriptions per shard that may wait for Redis at one time [default: 100000]
    #[arg(long, env = "WOMACK_MAX_WAITING_ACKS", value_name = "N")]
    #[serde(alias = "max_waiting_acks")]
    pub max_waiting_acks: Option<usize>,

    /// Server events that may wait for Redis; beyond, the oldest are dropped [default: 100000]
    #[arg(long, env = "WOMACK_MAX_WAITING_EVENTS", value_name = "N")]
    #[serde(alias = "max_waiting_events")]
    pub max_waiting_events: Option<usize>,

    /// Largest `meta` of a client, in bytes [default: 4096]
    #[arg(long, env = "WOMACK_MAX_META_BYTES", value_name = "BYTES")]
    #[serde(alias = "max_meta_bytes")]
    pub max_meta_bytes: Option<usize>,

    /// Largest `event` of a client, in bytes [default: 4096]
    #[arg(long, env = "WOMACK_MAX_EVENT_BYTES", value_name = "BYTES")]
    #[serde(alias = "max_event_bytes")]
    pub max_event_bytes: Option<usize>,

    /// Clients about whom a client that asks for presence is told [default: 100]
    #[arg(long, env = "WOMACK_MAX_PRESENCE_MEMBERS", value_name = "N")]
    #[serde(alias = "max_presence_members")]
    pub max_presence_members: Option<usize>,
}

impl Settings {
    pub(crate) fn from_file(path: &PathBuf) -> Result<Self, Error> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::Config(format!("{}: {error}", path.display())))?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().map_or("", |span| &text[..span.start]);
            let line = before.matches('\n').count() + 1;
            // The list of all keys is in the help; here it would hide the one that is wrong.
            let message = error
                .message()
                .split(", expected one of")
                .next()
                .unwrap_or_default();
            let message = message.replace('\n', " ");
            Error::Config(format!("{}:{line}: {message}", path.display()))
        })
    }

    /// These settings where they say something, `other`'s elsewhere.
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            host: self.host.or(other.host),
            port: self.port.or(other.port),
            redis_host: self.redis_host.or(other.redis_host),
            redis_port: self.redis_port.or(other.redis_port),
            redis_url: self.redis_url.or(other.redis_url),
            key: self.key.or(other.key),
            namespace: self.namespace.or(other.namespace),
            emitter_key: self.emitter_key.or(other.emitter_key),
            python_channel: self.python_channel.or(other.python_channel),
            laravel_prefix: self.laravel_prefix.or(other.laravel_prefix),
            juggernaut: self.juggernaut.or(other.juggernaut),
            publish_key: self.publish_key.or(other.publish_key),
            shards: self.shards.or(other.shards),
            egress: self.egress.or(other.egress),
            config: self.config.or(other.config),
            debug: self.debug.or(other.debug),
            no_eio3: self.no_eio3.or(other.no_eio3),
            no_legacy: self.no_legacy.or(other.no_legacy),
            cors_origin: self.cors_origin.or(other.cors_origin),
            admin_listen: self.admin_listen.or(other.admin_listen),
            ping_interval: self.ping_interval.or(other.ping_interval),
            ping_timeout: self.ping_timeout.or(other.ping_timeout),
            handshake_seconds: self.handshake_seconds.or(other.handshake_seconds),
            subscribe_timeout_seconds: self
                .subscribe_timeout_seconds
                .or(other.subscribe_timeout_seconds),
            unsubscribe_grace_seconds: self
                .unsubscribe_grace_seconds
                .or(other.unsubscribe_grace_seconds),
            drain_seconds: self.drain_seconds.or(other.drain_seconds),
            coalesce_ms: self.coalesce_ms.or(other.coalesce_ms),
            events_key: self.events_key.or(other.events_key),
            client_events: self.client_events.or(other.client_events),
            presence: self.presence.or(other.presence),
            node_timeout_seconds: self.node_timeout_seconds.or(other.node_timeout_seconds),
            max_payload: self.max_payload.or(other.max_payload),
            max_message_bytes: self.max_message_bytes.or(other.max_message_bytes),
            max_channel_bytes: self.max_channel_bytes.or(other.max_channel_bytes),
            max_channels_per_client: self
                .max_channels_per_client
                .or(other.max_channels_per_client),
            max_channels_per_publish: self
                .max_channels_per_publish
                .or(other.max_channels_per_publish),
            max_client_queue_bytes: self.max_client_queue_bytes.or(other.max_client_queue_bytes),
            max_packets_per_payload: self
                .max_packets_per_payload
                .or(other.max_packets_per_payload),
            max_waiting_acks: self.max_waiting_acks.or(other.max_waiting_acks),
            max_waiting_events: self.max_waiting_events.or(other.max_waiting_events),
            max_meta_bytes: self.max_meta_bytes.or(other.max_meta_bytes),
            max_event_bytes: self.max_event_bytes.or(other.max_event_bytes),
            max_presence_members: self.max_presence_members.or(other.max_presence_members),
        }
    }
}
