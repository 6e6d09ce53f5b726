//! Everything that can be set, filled from flags, environment, file and defaults, in that order.
//!
//! [`Settings`] is what an operator wrote, with values that may be absent. [`Config`] is what the
//! server runs with: complete, checked and immutable.

mod limits;
mod nodes;
mod redis;
mod reload;
pub(crate) mod settings;

use std::{num::NonZeroUsize, thread, time::Duration};

use merge::Merge;
use serde::Serialize;

use womack_cluster::{RelayConfig, ReporterConfig};
pub use womack_engine::Limits;
use womack_engine::{Channels, ChannelsSettings, Live, Publishers, SlowClient};

use self::settings::{CoalesceSetting, Egress, NamespaceSetting, Settings, SlowClientSetting};
pub use self::{
    nodes::Nodes,
    redis::{Redis, RedisSource},
};
use crate::error::Error;

/// The Redis channel prefix of a namespace that names none of its own.
pub const DEFAULT_KEY: &str = "womack:ns:default";

/// What the server runs with. Times are durations, sizes are bytes.
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
    /// How long a request head, a request body, an upgrade or the first CONNECT may take.
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
    pub coalesce: Duration,
    /// The same for single namespaces, by their path.
    #[serde(rename = "coalesce-ms of namespaces")]
    pub coalesce_by_namespace: Vec<(String, Duration)>,
    /// What becomes of messages for clients that read too slowly.
    pub slow_client: SlowClient,
    /// The same for single namespaces, by their path.
    #[serde(rename = "slow-client of namespaces")]
    pub slow_client_by_namespace: Vec<(String, SlowClient)>,
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
    /// What clients and publishers may use.
    #[serde(skip)]
    pub limits: Live<Limits>,
}

/// Which pages' requests are answered across origins.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub enum CorsOrigins {
    /// Every origin.
    Any,
    /// These and no other, each as a browser writes it: `https://example.org`.
    Listed(Vec<String>),
}

impl Config {
    /// Fills what `settings` leaves open from the file that they name, then from the defaults.
    ///
    /// # Errors
    /// [`Error::Config`], in one line, for an unreadable file, an unknown key or a bad value.
    pub fn resolve(mut settings: Settings) -> Result<Self, Error> {
        if let Some(path) = settings.config.clone() {
            settings.merge(Settings::from_file(&path)?);
        }
        let defaults = Self::default();
        let (coalesce, coalesce_by_namespace) = coalesce(settings.coalesce_ms.take());
        let (slow_client, slow_client_by_namespace) = slow_client(settings.slow_client.take());
        let config = Self {
            redis: Redis::resolve(&settings)?,
            host: settings.host.unwrap_or(defaults.host),
            port: settings.port.unwrap_or(defaults.port),
            key: settings.key.unwrap_or(defaults.key),
            namespaces: settings.namespace.unwrap_or_default(),
            emitter_key: settings.emitter_key,
            python_channel: settings.python_channel,
            laravel_prefix: settings.laravel_prefix,
            juggernaut: settings.juggernaut.unwrap_or(defaults.juggernaut),
            publish_key: settings.publish_key.into(),
            shards: settings.shards.unwrap_or(defaults.shards),
            egress: settings.egress.unwrap_or(defaults.egress),
            debug: settings.debug.unwrap_or(defaults.debug),
            diagnose_publishes: settings
                .diagnose_publishes
                .unwrap_or(defaults.diagnose_publishes),
            no_eio3: settings.no_eio3.unwrap_or(defaults.no_eio3),
            no_legacy: settings.no_legacy.unwrap_or(defaults.no_legacy),
            cors_origins: cors_origins(settings.cors_origin.unwrap_or_default())?,
            admin_listen: settings.admin_listen,
            ping_interval: settings
                .ping_interval
                .map_or(defaults.ping_interval, |s| s.0),
            ping_timeout: settings.ping_timeout.map_or(defaults.ping_timeout, |s| s.0),
            handshake_timeout: settings
                .handshake_seconds
                .map_or(defaults.handshake_timeout, |s| s.0),
            keep_alive: settings
                .keep_alive_seconds
                .map_or(defaults.keep_alive, |s| s.0),
            subscribe_timeout: settings
                .subscribe_timeout_seconds
                .map_or(defaults.subscribe_timeout, |s| s.0),
            unsubscribe_grace: settings
                .unsubscribe_grace_seconds
                .map_or(defaults.unsubscribe_grace, |s| s.0),
            drain: settings.drain_seconds.map_or(defaults.drain, |s| s.0),
            coalesce,
            coalesce_by_namespace,
            slow_client,
            slow_client_by_namespace,
            events_key: settings.events_key,
            client_events: settings.client_events.unwrap_or(defaults.client_events),
            presence: settings.presence.unwrap_or_default(),
            node_timeout: settings
                .node_timeout_seconds
                .map_or(defaults.node_timeout, |s| s.0),
            nodes: Nodes::resolve(settings.nodes)?,
            limits: limits::resolve(&settings.limits)?.into(),
        };
        config.check()?;
        Ok(config)
    }

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
        RelayConfig {
            key: self.nodes.relay_key.clone(),
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

    /// How long messages for the namespace at `path` are gathered.
    pub(crate) fn coalesce_of(&self, path: &str) -> Duration {
        let own = self
            .coalesce_by_namespace
            .iter()
            .find(|(known, _)| known == path);
        own.map_or(self.coalesce, |(_, time)| *time)
    }

    /// What becomes of messages of the namespace at `path` for clients that read too slowly.
    pub(crate) fn slow_client_of(&self, path: &str) -> SlowClient {
        let own = self
            .slow_client_by_namespace
            .iter()
            .find(|(known, _)| known == path);
        own.map_or(self.slow_client, |(_, policy)| *policy)
    }

    fn check(&self) -> Result<(), Error> {
        check(&[
            (
                (1..=128).contains(&self.shards),
                "shards is not between 1 and 128",
            ),
            (
                self.ping_interval >= MIN_TIME,
                "ping-interval is below 10 ms",
            ),
            (self.ping_timeout >= MIN_TIME, "ping-timeout is below 10 ms"),
            (
                self.handshake_timeout >= MIN_TIME,
                "handshake-seconds is below 10 ms",
            ),
            (
                self.keep_alive >= MIN_TIME,
                "keep-alive-seconds is below 10 ms",
            ),
            (
                self.events_key.as_deref() != Some(""),
                "events-key is empty",
            ),
            (
                self.events_key.is_some() || !self.client_events,
                "client-events needs events-key",
            ),
            (
                self.events_key.is_some() || self.presence.is_empty(),
                "presence needs events-key",
            ),
            (
                self.node_timeout >= MIN_NODE_TIMEOUT,
                "node-timeout-seconds is below 100 ms",
            ),
            (
                self.publish_key.load().is_none() || self.admin_listen.is_some(),
                "publish-key needs admin-listen",
            ),
            (
                self.publish_key.load().as_deref() != Some(""),
                "publish-key is empty",
            ),
            (
                self.python_channel.as_deref() != Some(""),
                "python-channel is empty",
            ),
        ])?;
        if self.key.is_empty() {
            return Err(Error::Config("key is empty".to_owned()));
        }
        for (at, namespace) in self.namespaces.iter().enumerate() {
            if self.namespaces[..at]
                .iter()
                .any(|other| other.path == namespace.path)
            {
                return Err(Error::Config(format!(
                    "namespace {} is given twice",
                    namespace.path
                )));
            }
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 8111,
            redis: Redis::default(),
            key: DEFAULT_KEY.to_owned(),
            namespaces: Vec::new(),
            emitter_key: None,
            python_channel: None,
            laravel_prefix: None,
            juggernaut: false,
            publish_key: Live::default(),
            shards: thread::available_parallelism()
                .map_or(1, NonZeroUsize::get)
                .min(128),
            egress: Egress::Auto,
            debug: false,
            diagnose_publishes: false,
            no_eio3: false,
            no_legacy: false,
            cors_origins: CorsOrigins::Any,
            admin_listen: None,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            handshake_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            subscribe_timeout: Duration::from_secs(5),
            unsubscribe_grace: Duration::from_secs(2),
            drain: Duration::from_secs(5),
            coalesce: Duration::ZERO,
            coalesce_by_namespace: Vec::new(),
            slow_client: SlowClient::Close,
            slow_client_by_namespace: Vec::new(),
            events_key: None,
            client_events: false,
            presence: Vec::new(),
            node_timeout: Duration::from_secs(15),
            nodes: Nodes::default(),
            limits: Live::default(),
        }
    }
}

const MIN_TIME: Duration = Duration::from_millis(10);
const MIN_NODE_TIMEOUT: Duration = Duration::from_millis(100);

/// The first of `rules` that does not hold is what is wrong.
fn check(rules: &[(bool, &str)]) -> Result<(), Error> {
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, message)) => Err(Error::Config((*message).to_owned())),
        None => Ok(()),
    }
}

fn coalesce(settings: Option<Vec<CoalesceSetting>>) -> (Duration, Vec<(String, Duration)>) {
    let (mut all, mut single) = (Duration::ZERO, Vec::new());
    for CoalesceSetting { path, time } in settings.unwrap_or_default() {
        match path {
            None => all = time,
            Some(path) => single.push((path, time)),
        }
    }
    (all, single)
}

fn slow_client(
    settings: Option<Vec<SlowClientSetting>>,
) -> (SlowClient, Vec<(String, SlowClient)>) {
    let (mut all, mut single) = (SlowClient::default(), Vec::new());
    for SlowClientSetting { path, policy } in settings.unwrap_or_default() {
        match path {
            None => all = policy,
            Some(path) => single.push((path, policy)),
        }
    }
    (all, single)
}

fn cors_origins(origins: Vec<String>) -> Result<CorsOrigins, Error> {
    if origins.is_empty() || origins.iter().any(|origin| origin == "*") {
        return Ok(CorsOrigins::Any);
    }
    let malformed = |origin: &&String| {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        host.is_empty() || host.contains('/')
    };
    if let Some(origin) = origins.iter().find(malformed) {
        return Err(Error::Config(format!(
            "cors-origin {origin:?} is neither * nor an origin such as https://example.org"
        )));
    }
    Ok(CorsOrigins::Listed(origins))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str) -> Result<Config, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Config::resolve(Settings {
            config: Some(file.path().into()),
            ..Settings::default()
        })
    }

    #[test]
    fn nothing_set_gives_womacks_own_defaults() {
        let config = Config::resolve(Settings::default()).unwrap();
        assert_eq!((config.host.as_str(), config.port), ("0.0.0.0", 8111));
        assert_eq!(config.redis.source, RedisSource::LocalOrEmbedded);
        assert_eq!(config.key, DEFAULT_KEY);
    }

    #[test]
    fn file_accepts_dashes_and_underscores() {
        let text = "redis-port = 7000\nping_interval = 1.5\nnamespace = ['/a', '/b=k:x']\n";
        let config = file(&format!("{text}no_eio3 = true\nno-legacy = true\n")).unwrap();
        assert!(config.no_eio3 && config.no_legacy);
        assert_eq!(
            config.redis.source,
            RedisSource::Url("redis://localhost:7000".into())
        );
        assert_eq!(config.ping_interval, Duration::from_millis(1500));
        assert_eq!(config.namespaces[1].key.as_deref(), Some("k:x"));
    }

    #[test]
    fn file_is_under_the_command_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "port = 1\nshards = 3\n").unwrap();
        let settings = Settings {
            config: Some(file.path().into()),
            port: Some(2),
            ..Settings::default()
        };
        let config = Config::resolve(settings).unwrap();
        assert_eq!((config.port, config.shards), (2, 3));
    }

    #[test]
    fn mistakes_are_one_line_that_names_the_place() {
        for (text, part) in [
            ("\nprot = 1\n", ":2: unknown key `prot`"),
            ("port = 'x'", ":1: "),
            ("port = 70000", ":1: "),
            ("ping-interval = -1", "seconds"),
            ("namespace = ['nope']", "slash"),
            ("namespace = ['/a', '/a']", "twice"),
            ("shards = 0", "shards"),
            ("redis-url = 'http://x'", "scheme"),
            (
                "redis-url = 'rediss://x'\nredis-ca = '/nowhere'",
                "/nowhere",
            ),
            (
                "redis-url = 'redis://x'\nredis-ca = '/nowhere'",
                "without TLS",
            ),
            ("redis-ca = '/nowhere'", "redis-url"),
            ("redis-backlog-bytes = 1", "redis-backlog-bytes"),
            (
                "redis-url = 'redis+cluster://x'\nevents-key = 'e'",
                "needs a part in braces",
            ),
            ("cors-origin = 'example'", "cors-origin"),
            ("client-events = true", "needs events-key"),
            ("presence = '/'", "needs events-key"),
            ("events-key = ''", "events-key is empty"),
            ("max-waiting-events = 0", "max-waiting-events"),
            ("publish-key = 'k'", "admin-listen"),
            ("python-channel = ''", "python-channel"),
            ("proxy-protocol = true", "needs trusted-proxy"),
            ("trusted-proxy = '10.0.0.0/33'", "network"),
            ("port = ", ":1: "),
        ] {
            let message = file(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text:?} gave {message:?}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }
}
