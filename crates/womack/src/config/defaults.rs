//! The settings of a server of which nothing is set.

use std::{num::NonZeroUsize, thread, time::Duration};

use womack_engine::Live;

use super::{
    Config, CorsOrigins, DEFAULT_KEY, Nodes, PerNamespace, Redis, check::MAX_SHARDS,
    settings::Egress,
};

impl Default for Config {
    fn default() -> Self {
        // Settings of the engine have their defaults there.
        let engine = womack_engine::Config::default();
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
            ping_interval: engine.ping_interval,
            ping_timeout: engine.ping_timeout,
            handshake_timeout: engine.handshake_timeout,
            keep_alive: Duration::from_secs(75),
            subscribe_timeout: engine.subscribe_timeout,
            unsubscribe_grace: engine.unsubscribe_grace,
            drain: Duration::from_secs(5),
            coalesce: PerNamespace::default(),
            slow_client: PerNamespace::default(),
            max_messages_per_second: PerNamespace::default(),
            events_key: None,
            client_events: false,
            presence: Vec::new(),
            node_timeout: Duration::from_secs(15),
            nodes: Nodes::default(),
            limits: engine.limits,
        }
    }
}
