//! Why the server cannot start, or cannot go on.

use std::io;

use womack_redis::{Error as RedisError, UrlError};

use crate::config::ConfigError;

/// Why the server cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A flag, a variable or the file says something that cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was to be listened on.
        address: String,
        /// What the system answered.
        source: io::Error,
    },
    /// Redis refused a command, or cannot be reached.
    #[error(transparent)]
    Redis(RedisError),
    /// Data for a client cannot be written as JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The system refused a thread, a descriptor or the like.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// io_uring was asked for by name, and the system has it not.
    #[error("io_uring cannot be used: {0}; --egress auto does without it where it is not there")]
    NoIoUring(io::Error),
    /// A shard or the router ended although nobody asked it to.
    #[error("thread {0} ended unexpectedly")]
    Thread(String),
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        match error {
            RedisError::Url(error) => error.into(),
            RedisError::Json(error) => error.into(),
            error => Self::Redis(error),
        }
    }
}

impl From<UrlError> for Error {
    fn from(error: UrlError) -> Self {
        Self::Config(error.into())
    }
}

impl Error {
    /// The exit status of a process that ends with this error: 2 for usage and configuration,
    /// 1 for what happens at run time.
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            _ => 1,
        }
    }
}
