//! The settings of a server of which nothing is set.

use std::{num::NonZeroUsize, thread, time::Duration};

use womack_engine::Live;

use super::{
    Config, CorsOrigins, DEFAULT_KEY, Nodes, PerNamespace, Redis, check::MAX_SHARDS,
    settings::Egress,
};

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
                .min(MAX_SHARDS),
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
            coalesce: PerNamespace::default(),
            slow_client: PerNamespace::default(),
            events_key: None,
            client_events: false,
            presence: Vec::new(),
            node_timeout: Duration::from_secs(15),
            nodes: Nodes::default(),
            limits: Live::default(),
        }
    }
}
