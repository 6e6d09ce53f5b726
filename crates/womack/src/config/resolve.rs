//! Settings are filled from flags, environment, file and defaults, in that order.

use merge::Merge;

use super::{
    Config, ConfigError, CorsOrigins, Nodes, PerNamespace, Redis, limits,
    settings::{Seconds, Settings},
};

impl Config {
    /// Fills what `settings` leaves open from the files that they name, then from the defaults.
    ///
    /// # Errors
    /// [`ConfigError`], in one line, for an unreadable file, an unknown key or a bad value.
    pub fn resolve(mut settings: Settings) -> Result<Self, ConfigError> {
        for path in settings.config.clone().unwrap_or_default() {
            settings.merge(Settings::from_file(&path)?);
        }
        let defaults = Self::default();
        let time = |setting: Option<Seconds>, default| setting.map_or(default, |time| time.0);
        let flag = |setting: Option<bool>, default| setting.unwrap_or(default);
        let config = Self {
            redis: Redis::resolve(&settings)?,
            host: settings.host.unwrap_or(defaults.host),
            port: settings.port.unwrap_or(defaults.port),
            key: settings.key.unwrap_or(defaults.key),
            namespaces: settings.namespace.unwrap_or_default(),
            emitter_key: settings.emitter_key,
            python_channel: settings.python_channel,
            laravel_prefix: settings.laravel_prefix,
            juggernaut: flag(settings.juggernaut, defaults.juggernaut),
            publish_key: settings.publish_key.into(),
            shards: settings.shards.unwrap_or(defaults.shards),
            egress: settings.egress.unwrap_or(defaults.egress),
            debug: flag(settings.debug, defaults.debug),
            diagnose_publishes: flag(settings.diagnose_publishes, defaults.diagnose_publishes),
            no_eio3: flag(settings.no_eio3, defaults.no_eio3),
            no_legacy: flag(settings.no_legacy, defaults.no_legacy),
            cors_origins: CorsOrigins::resolve(settings.cors_origin.unwrap_or_default())?,
            admin_listen: settings.admin_listen,
            ping_interval: time(settings.ping_interval, defaults.ping_interval),
            ping_timeout: time(settings.ping_timeout, defaults.ping_timeout),
            handshake_timeout: time(settings.handshake_seconds, defaults.handshake_timeout),
            keep_alive: time(settings.keep_alive_seconds, defaults.keep_alive),
            subscribe_timeout: time(
                settings.subscribe_timeout_seconds,
                defaults.subscribe_timeout,
            ),
            unsubscribe_grace: time(
                settings.unsubscribe_grace_seconds,
                defaults.unsubscribe_grace,
            ),
            drain: time(settings.drain_seconds, defaults.drain),
            coalesce: PerNamespace::resolve(settings.coalesce_ms, defaults.coalesce),
            slow_client: PerNamespace::resolve(settings.slow_client, defaults.slow_client),
            max_messages_per_second: PerNamespace::resolve(
                settings.limits.max_messages_per_second.take(),
                defaults.max_messages_per_second,
            ),
            events_key: settings.events_key,
            client_events: flag(settings.client_events, defaults.client_events),
            presence: settings.presence.unwrap_or_default(),
            node_timeout: time(settings.node_timeout_seconds, defaults.node_timeout),
            nodes: Nodes::resolve(settings.nodes)?,
            limits: limits::resolve(&settings.limits)?.into(),
        };
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use womack_redis::{TlsError, UrlError};

    use super::*;
    use crate::config::{DEFAULT_KEY, LineError, RedisSource};

    fn file(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Config::resolve(Settings {
            config: Some(vec![file.path().into()]),
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
        let second = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            second.path(),
            "shards = 4\nrelay-secret = '0123456789abcdef'\n",
        )
        .unwrap();
        let settings = Settings {
            config: Some(vec![file.path().into(), second.path().into()]),
            port: Some(2),
            ..Settings::default()
        };
        let config = Config::resolve(settings).unwrap();
        assert_eq!((config.port, config.shards), (2, 3));
        let secret = config.nodes.relay_secret.unwrap();
        assert_eq!(secret.reveal(), "0123456789abcdef");
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
                "does not use TLS",
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

    #[test]
    fn mistakes_are_told_apart_without_their_text() {
        let mistake = |text: &str| match file(text) {
            Err(mistake) => mistake,
            other => panic!("{text:?} gave {other:?}"),
        };
        assert!(matches!(
            mistake("\nprot = 1"),
            ConfigError::Line { line: 2, source: LineError::UnknownKey(key), .. } if key == "prot"
        ));
        assert!(matches!(
            mistake("port = 70000"),
            ConfigError::Line {
                source: LineError::Value(_),
                ..
            }
        ));
        for (text, expected) in [
            ("shards = 0", "shards"),
            ("keep-alive-seconds = 0", "keep-alive-seconds"),
            ("max-waiting-events = 0", "max-waiting-events"),
            ("redis-backlog-bytes = 1", "redis-backlog-bytes"),
            ("max-connection-age = 0", "max-connection-age"),
        ] {
            let mistake = mistake(text);
            assert!(
                matches!(mistake, ConfigError::OutOfRange { setting, .. } if setting == expected),
                "{text:?} gave {mistake:?}"
            );
        }
        assert!(matches!(
            mistake("presence = '/'"),
            ConfigError::Needs {
                setting: "presence",
                needed: "events-key"
            }
        ));
        assert!(matches!(
            mistake("relay-secret = '0123456789abcde'"),
            ConfigError::ShortSecret { least: 16, .. }
        ));
        assert!(matches!(
            mistake("redis-url = 'http://x'"),
            ConfigError::RedisUrl(UrlError::Scheme(_))
        ));
        assert!(matches!(
            mistake("redis-url = 'rediss://x'\nredis-ca = '/nowhere'"),
            ConfigError::Tls(TlsError::File { .. })
        ));
    }
}
