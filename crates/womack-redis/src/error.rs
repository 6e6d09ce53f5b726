//! Why something cannot be said to Redis.

use redis::RedisError;

use crate::connect::UrlError;

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
