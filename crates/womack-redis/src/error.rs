//! Why something cannot be said to Redis.

use redis::RedisError;

/// Why something cannot be said to Redis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL names no Redis.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The data cannot be written as JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Redis refuses a command, does not answer it, or cannot be reached.
    #[error("redis: {0}")]
    Command(#[from] CommandError),
}

/// A command that Redis refuses or does not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct CommandError(RedisError);

impl From<RedisError> for CommandError {
    fn from(error: RedisError) -> Self {
        Self(error)
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        Self::Command(error.into())
    }
}

#[cfg(test)]
mod tests {
    use redis::ErrorKind;

    use super::*;

    #[test]
    fn each_error_says_its_cause() {
        let url = Error::from(UrlError::NoPath);
        assert_eq!(url.to_string(), "unix:// needs the path of a socket");
        let refusal = RedisError::from((ErrorKind::Io, "no answer in time"));
        let expected = format!("redis: {refusal}");
        assert_eq!(Error::from(refusal).to_string(), expected);
    }
}

/// Why a URL names no Redis. No variant holds a password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with a scheme that is known.
    #[error(
        "the scheme {0:?} is none of redis, rediss, unix, redis+sentinel, rediss+sentinel, \
         redis+cluster and rediss+cluster"
    )]
    Scheme(String),
    /// There are files for TLS, which this scheme does not speak.
    #[error("{0}:// does not use TLS: remove redis-ca, redis-cert and redis-key")]
    WithoutTls(String),
    /// A socket of this machine has no path.
    #[error("unix:// needs the path of a socket")]
    NoPath,
    /// Sentinels are to be asked for no service.
    #[error("sentinels need the name of a service, after a slash")]
    NoService,
    /// There are several hosts, and the scheme does not say how they belong together.
    #[error("several hosts need redis+sentinel:// or redis+cluster://")]
    SeveralHosts,
    /// A host, or its port, cannot be one.
    #[error("{0:?} is no HOST, or what follows it is no port")]
    Host(String),
    /// An `@` follows the question mark that begins the parameters.
    #[error("a ? stands before the @: write %3F for a ? in a password, and %40 for an @ after a ?")]
    BareQuestionMark,
    /// The number of the database is none.
    #[error("{0:?} is no number of a database")]
    Database(String),
    /// A cluster is asked for another database than its only one.
    #[error("a cluster has no other database than 0")]
    ClusterDatabase,
    /// The percent signs of a part stand for bytes that are no text.
    #[error("a percent-encoded part is not UTF-8")]
    NotUtf8,
    /// A parameter is unknown, or has no meaning with this scheme.
    #[error("the parameter {0:?} is unknown here")]
    Parameter(String),
}

impl UrlError {
    /// The same without parts of the URL, any of which may belong to a password.
    pub(crate) fn without_parts(self) -> Self {
        let hidden = || "...".to_owned();
        match self {
            Self::Scheme(_) => Self::Scheme(hidden()),
            Self::WithoutTls(_) => Self::WithoutTls(hidden()),
            Self::Host(_) => Self::Host(hidden()),
            Self::Database(_) => Self::Database(hidden()),
            Self::Parameter(_) => Self::Parameter(hidden()),
            other => other,
        }
    }
}
