//! What an operator wrote: flags, environment and file share one struct and are read by one parser,
//! so that a flag, its `WOMACK_*` variable and its key in the file cannot drift apart.

mod file;
mod limits;
mod network;
mod nodes;
mod redis;
mod values;

use std::path::PathBuf;

pub use self::{
    limits::LimitSettings,
    network::Network,
    nodes::NodeSettings,
    redis::RedisSettings,
    values::{
        AddressShareSetting, ByteSize, Egress, MessageRate, Milliseconds, NamespaceSetting,
        NamespaceValue, Seconds, SlowClientPolicy,
    },
};

/// What an operator wrote, on the command line, in the environment or in the file.
#[derive(Clone, Debug, Default, clap::Args, merge::Merge)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Settings {
    /// Host name or address to listen on [default: 0.0.0.0]
    #[arg(short = 'H', long, env = "WOMACK_HOST")]
    pub host: Option<String>,

    /// Port to listen on, 0 for any free one [default: 8111]
    #[arg(short, long, env = "WOMACK_PORT")]
    pub port: Option<u16>,

    /// Host of the Redis server [default: localhost]
    #[arg(long, env = "WOMACK_REDIS_HOST", value_name = "HOST")]
    pub redis_host: Option<String>,

    /// Port of the Redis server [default: 6379]
    #[arg(long, env = "WOMACK_REDIS_PORT", value_name = "PORT")]
    pub redis_port: Option<u16>,

    /// URL of the Redis: `redis://[user:password@]host[:port][/db]`, `rediss://` with TLS,
    /// `unix:///path`, `redis+sentinel://host[:port],.../service[/db]`,
    /// `redis+cluster://host[:port],...`, or `embedded`, whose port is then --redis-port; otherwise
    /// wins over --redis-host and --redis-port
    #[arg(
        long,
        env = "WOMACK_REDIS_URL",
        value_name = "URL",
        hide_env_values = true
    )]
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
    pub emitter_key: Option<String>,

    /// Deliver what python-socketio's RedisManager publishes on this channel, usually `socketio`
    #[arg(long, env = "WOMACK_PYTHON_CHANNEL", value_name = "CHANNEL")]
    pub python_channel: Option<String>,

    /// Deliver what Laravel broadcasts with this prefix, which may be empty
    #[arg(long, env = "WOMACK_LARAVEL_PREFIX", value_name = "PREFIX")]
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
    pub publish_key: Option<String>,

    /// Threads that own connections [default: one per core]
    #[arg(long, env = "WOMACK_SHARDS", value_name = "N")]
    pub shards: Option<usize>,

    /// How clients are written to: `write`, `io-uring`, or `auto` for io_uring where the system
    /// has it [default: auto]
    #[arg(long, env = "WOMACK_EGRESS", value_name = "HOW")]
    pub egress: Option<Egress>,

    /// TOML file with any of these settings, by the same names; may be given again, as for a file
    /// of secrets, and the first one that has a setting counts
    #[arg(long, env = "WOMACK_CONFIG", value_name = "FILE")]
    pub config: Option<Vec<PathBuf>>,

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

    /// Listen to everything that is published, to find messages that nobody gets because of their
    /// channel's name
    #[arg(
        long,
        env = "WOMACK_DIAGNOSE_PUBLISHES",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub diagnose_publishes: Option<bool>,

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
    pub no_legacy: Option<bool>,

    /// Origin whose pages may connect, or `*` for every one; may be given again [default: *]
    #[arg(
        long,
        env = "WOMACK_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origin: Option<Vec<String>>,

    /// Address of its own for /metrics, /healthz, /readyz, /dashboard and what feeds it
    #[arg(long, env = "WOMACK_ADMIN_LISTEN", value_name = "HOST:PORT")]
    pub admin_listen: Option<String>,

    /// Seconds between pings [default: 25]
    #[arg(long, env = "WOMACK_PING_INTERVAL", value_name = "SECONDS")]
    pub ping_interval: Option<Seconds>,

    /// Seconds that the answer to a ping may take [default: 20]
    #[arg(long, env = "WOMACK_PING_TIMEOUT", value_name = "SECONDS")]
    pub ping_timeout: Option<Seconds>,

    /// Seconds that a request, an upgrade or the first CONNECT may take, or a client that reads
    /// nothing of an answer [default: 10]
    #[arg(long, env = "WOMACK_HANDSHAKE_SECONDS", value_name = "SECONDS")]
    pub handshake_seconds: Option<Seconds>,

    /// Seconds that an HTTP connection stays open between two requests; longer than a balancer
    /// keeps it for reuse [default: 75]
    #[arg(long, env = "WOMACK_KEEP_ALIVE_SECONDS", value_name = "SECONDS")]
    pub keep_alive_seconds: Option<Seconds>,

    /// Seconds that a subscription waits for Redis before the client is told `unavailable`
    /// [default: 5]
    #[arg(long, env = "WOMACK_SUBSCRIBE_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub subscribe_timeout_seconds: Option<Seconds>,

    /// Seconds that an unwanted channel stays subscribed at Redis [default: 2]
    #[arg(long, env = "WOMACK_UNSUBSCRIBE_GRACE_SECONDS", value_name = "SECONDS")]
    pub unsubscribe_grace_seconds: Option<Seconds>,

    /// Seconds over which clients are closed when the server stops [default: 5]
    #[arg(long, env = "WOMACK_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<Seconds>,

    /// Milliseconds for which messages are gathered into one write, `N` or `/path=N` for one
    /// namespace; may be given again [default: 0]
    #[arg(
        long,
        env = "WOMACK_COALESCE_MS",
        value_name = "MS",
        value_delimiter = ','
    )]
    pub coalesce_ms: Option<Vec<NamespaceValue<Milliseconds>>>,

    /// What becomes of messages for a client that reads too slowly: `close`, `drop-oldest` or
    /// `latest`, or `/path=latest` for one namespace; may be given again [default: close]
    #[arg(
        long,
        env = "WOMACK_SLOW_CLIENT",
        value_name = "POLICY",
        value_delimiter = ','
    )]
    pub slow_client: Option<Vec<NamespaceValue<SlowClientPolicy>>>,

    /// Prefix of the Redis channels on which server events are published, as they are not
    /// otherwise: KEY:subscribe, KEY:unsubscribe and KEY:custom
    #[arg(long, env = "WOMACK_EVENTS_KEY", value_name = "KEY")]
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
    pub client_events: Option<bool>,

    /// Namespace whose clients may ask who is in a channel; may be given again; needs
    /// --events-key
    #[arg(
        long,
        env = "WOMACK_PRESENCE",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub presence: Option<Vec<String>>,

    /// Seconds after which a node that gives no sign of life is taken for dead [default: 15]
    #[arg(long, env = "WOMACK_NODE_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub node_timeout_seconds: Option<Seconds>,

    /// Balancers and other nodes.
    #[command(flatten, next_help_heading = "Several nodes")]
    #[merge(strategy = merge::Merge::merge)]
    pub nodes: NodeSettings,

    /// What there is to say of Redis, besides where it is.
    #[command(flatten)]
    #[merge(strategy = merge::Merge::merge)]
    pub redis: RedisSettings,

    /// What clients and publishers may use of the server.
    #[command(flatten, next_help_heading = "Limits")]
    #[merge(strategy = merge::Merge::merge)]
    pub limits: LimitSettings,
}
