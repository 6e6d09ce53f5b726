//! Which Redis the server listens to, and how.

use serde::Serialize;
use womack_redis::{Backend, TlsFiles};

use super::{ConfigError, check::ensure_in, settings::Settings};

/// The least that is worth waiting for: what one read brings.
const LEAST_BACKLOG_BYTES: usize = 64 << 10;

/// Which Redis the server listens to, and how.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Redis {
    /// Where messages come from.
    #[serde(rename = "redis-url")]
    pub source: RedisSource,
    /// What TLS needs, if it is spoken.
    #[serde(flatten)]
    pub tls: TlsFiles,
    /// Bytes of messages that may wait between Redis and the shards.
    #[serde(rename = "redis-backlog-bytes")]
    pub backlog_bytes: usize,
    /// Whether clients are told when they may have missed something.
    pub gap_notices: bool,
    /// Bytes of messages that may wait until clients are told of a gap before them.
    pub gap_hold_bytes: usize,
}

/// Which Redis the server listens to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub enum RedisSource {
    /// None was named: the one on localhost, or the embedded broker in its place when none
    /// listens there.
    LocalOrEmbedded,
    /// The embedded broker, asked for by name, on this port of the loopback address.
    Embedded(u16),
    /// This one and no other.
    Url(String),
}

impl Default for Redis {
    fn default() -> Self {
        let engine = womack_engine::Config::default();
        Self {
            source: RedisSource::LocalOrEmbedded,
            tls: TlsFiles::default(),
            backlog_bytes: 64 << 20,
            gap_notices: engine.gap_notices,
            gap_hold_bytes: engine.gap_hold_bytes,
        }
    }
}

impl Redis {
    /// Fills what `settings` leave open with the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for an invalid setting, and for files that cannot be read.
    pub(super) fn resolve(settings: &Settings) -> Result<Self, ConfigError> {
        let defaults = Self::default();
        let own = &settings.redis;
        let redis = Self {
            source: source(settings),
            tls: TlsFiles {
                ca: own.redis_ca.clone(),
                cert: own.redis_cert.clone(),
                key: own.redis_key.clone(),
            },
            backlog_bytes: own.redis_backlog_bytes.unwrap_or(defaults.backlog_bytes),
            gap_notices: own.gap_notices.unwrap_or(defaults.gap_notices),
            gap_hold_bytes: own.gap_hold_bytes.unwrap_or(defaults.gap_hold_bytes),
        };
        ensure_in(
            "redis-backlog-bytes",
            redis.backlog_bytes,
            LEAST_BACKLOG_BYTES..,
        )?;
        let url = match &redis.source {
            RedisSource::Url(url) => url,
            _ if redis.tls == TlsFiles::default() => return Ok(redis),
            _ => return Err(ConfigError::TlsWithoutUrl),
        };
        let backend = Backend::parse(url, &redis.tls).map_err(ConfigError::RedisUrl)?;
        if redis.tls != TlsFiles::default() {
            redis.tls.check()?;
        }
        let untagged = settings.events_key.as_deref().filter(|key| !has_tag(key));
        match untagged {
            Some(key) if backend.is_cluster() => Err(ConfigError::UntaggedEventsKey {
                key: key.to_owned(),
            }),
            _ => Ok(redis),
        }
    }
}

/// Whether a cluster has all keys that begin with `key` in one slot.
fn has_tag(key: &str) -> bool {
    let rest = key.split_once('{').map(|(_, rest)| rest);
    let tag = rest.and_then(|rest| rest.split_once('}'));
    tag.is_some_and(|(tag, _)| !tag.is_empty())
}

fn source(settings: &Settings) -> RedisSource {
    match settings.redis_url.as_deref() {
        Some("embedded") => return RedisSource::Embedded(settings.redis_port.unwrap_or(6379)),
        Some(url) => return RedisSource::Url(url.to_owned()),
        None => {}
    }
    if settings.redis_host.is_none() && settings.redis_port.is_none() {
        return RedisSource::LocalOrEmbedded;
    }
    let host = settings.redis_host.as_deref().unwrap_or("localhost");
    let port = settings.redis_port.unwrap_or(6379);
    let bracketed = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    RedisSource::Url(format!("redis://{bracketed}:{port}"))
}
