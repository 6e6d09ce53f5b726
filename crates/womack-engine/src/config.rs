//! The settings of the engine.

use std::time::Duration;

use womack_proto::{Limits as ProtocolLimits, Namespaces, Rules, Timing};

pub(crate) use crate::limits::Limits;
use crate::{live::Live, namespace::Registry};

/// How long a poll of a Socket.IO 0.9 client waits at most, as in the original server. Where
/// something on the way makes more frequent pings necessary, it must not wait longer either.
const POLL_DURATION: Duration = Duration::from_secs(20);

/// The settings of the engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between the server's pings.
    pub ping_interval: Duration,
    /// How long an answer to a ping may take.
    pub ping_timeout: Duration,
    /// How long a request head, a request body, an upgrade or the first CONNECT may take.
    pub handshake_timeout: Duration,
    /// How long a subscription may wait for Redis before its client is told `unavailable`.
    pub subscribe_timeout: Duration,
    /// How long a channel that nobody wants stays subscribed at Redis.
    pub unsubscribe_grace: Duration,
    /// How long a client may stay connected.
    pub max_connection_age: Option<Duration>,
    /// Whether clients are told when they may have missed something.
    pub gap_notices: bool,
    /// Bytes of messages that wait until clients are told of a gap before them.
    pub gap_hold_bytes: usize,
    /// Whether messages may arrive over a node of their own, which remembers what it was asked:
    /// with a Redis cluster.
    pub is_cluster: bool,
    /// Publishers of other families that are listened to.
    pub publishers: Publishers,
    /// The limits of clients and publishers.
    pub limits: Live<Limits>,
}

/// Publishers of other families that are listened to.
#[derive(Clone, Debug, Default)]
pub struct Publishers {
    /// Key of those that use `@socket.io/redis-emitter` or one of its ports.
    pub emitter_key: Option<String>,
    /// Redis channel of those that use python-socketio.
    pub python_channel: Option<String>,
    /// Prefix of Laravel's Redis channels.
    pub laravel_prefix: Option<String>,
    /// Whether Juggernaut's are listened to, and its browser client is understood.
    pub juggernaut: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            handshake_timeout: Duration::from_secs(10),
            subscribe_timeout: Duration::from_secs(5),
            unsubscribe_grace: Duration::from_secs(2),
            max_connection_age: None,
            gap_notices: false,
            gap_hold_bytes: 4 << 20,
            is_cluster: false,
            publishers: Publishers::default(),
            limits: Live::default(),
        }
    }
}

impl Config {
    /// The rules that sessions keep to, in the namespaces of `registry`.
    pub(crate) fn rules(&self, registry: &Registry) -> Rules {
        let paths = registry.iter().map(|(_, entry)| entry.path.as_str());
        Rules {
            timing: Timing {
                ping_interval: self.ping_interval,
                ping_timeout: self.ping_timeout,
                connect_timeout: self.handshake_timeout,
                message_timeout: self.handshake_timeout,
                poll_duration: POLL_DURATION.min(self.ping_interval),
                ..Timing::default()
            },
            limits: ProtocolLimits {
                max_attachments: 64,
                max_attachment_bytes: self.limits.load().max_payload_bytes,
                max_namespaces: registry.count(),
            },
            namespaces: Namespaces::new(paths),
        }
    }
}
