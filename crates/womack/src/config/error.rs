//! Why settings are none that a server could run with.

use std::{io, path::PathBuf};

use womack_engine::PublishersError;
use womack_redis::{TlsError, UrlError};

/// Why settings are none that a server could run with. Each names the setting at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The command line, or a `WOMACK_*` variable, is not understood, for this reason.
    #[error("{0}")]
    CommandLine(String),
    /// The message that `womack publish` is given is not JSON.
    #[error("the message is not JSON: {0}")]
    Message(#[source] serde_json::Error),
    /// The file of settings cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The answer of the system.
        source: io::Error,
    },
    /// A line of the file is not understood.
    #[error("{}:{line}: {source}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The mistake in it.
        source: LineError,
    },
    /// A number or a time is too small or too large.
    #[error("{setting} is {value}, {violation}")]
    OutOfRange {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The bound that it breaks, as in `below 10ms`.
        violation: String,
    },
    /// A text is empty that must not be.
    #[error("{setting} is empty")]
    Empty {
        /// The setting.
        setting: &'static str,
    },
    /// A secret could be guessed.
    #[error("{setting} has fewer than {least} bytes, so that it could be guessed")]
    ShortSecret {
        /// The setting.
        setting: &'static str,
        /// The least number of bytes.
        least: usize,
    },
    /// A setting means nothing without another, which is not set.
    #[error("{setting} needs {needed}")]
    Needs {
        /// The setting.
        setting: &'static str,
        /// The setting that is missing.
        needed: &'static str,
    },
    /// Two namespaces have the same path.
    #[error("namespace {path} is given twice")]
    DuplicateNamespace {
        /// The path.
        path: String,
    },
    /// `presence` names a path that no namespace has.
    #[error("presence names {path:?}, which is no namespace")]
    UnknownPresence {
        /// The path.
        path: String,
    },
    /// `cors-origin` is no origin.
    #[error("cors-origin {origin:?} is neither * nor an origin such as https://example.org")]
    Origin {
        /// The value.
        origin: String,
    },
    /// `admin-listen` is no address.
    #[error("admin-listen {address:?} is not HOST:PORT")]
    AdminAddress {
        /// The value.
        address: String,
    },
    /// `redis-url` names no Redis.
    #[error("redis-url: {0}")]
    RedisUrl(#[source] UrlError),
    /// A URL that comes from no setting names no Redis.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The files for TLS towards Redis cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There are files for TLS, and no Redis is named with which it could be spoken.
    #[error("redis-ca, redis-cert and redis-key need a redis-url with TLS")]
    TlsWithoutUrl,
    /// The keys of the server events could be in several slots of a cluster.
    #[error(
        "in a cluster all keys of the server events must have one slot: events-key {key:?} needs a \
         part in braces, as in {{womack}}:event"
    )]
    UntaggedEventsKey {
        /// The value of `events-key`.
        key: String,
    },
    /// Channels of a namespace could be those on which server events are published.
    #[error(
        "clients of {path} could read all events: events-key {events_key:?} begins with its key"
    )]
    ReadableEvents {
        /// The path of the namespace.
        path: String,
        /// The value of `events-key`.
        events_key: String,
    },
    /// Channels of a namespace could be those on which nodes speak to one another.
    #[error(
        "clients could read what nodes say to one another: relay-key {relay_key:?} begins with the \
         key {key:?}"
    )]
    ReadableRelay {
        /// The value of `relay-key`.
        relay_key: String,
        /// The key of the namespace.
        key: String,
    },
    /// Publishers of other families cannot be listened to.
    #[error(transparent)]
    Publishers(#[from] PublishersError),
    /// `diagnose-publishes` is set, and the Redis is a cluster.
    #[error(
        "diagnose-publishes works with a single Redis, not with a cluster: no node of a cluster receives all messages"
    )]
    DiagnosisOfCluster,
    /// `memory-budget` is more than the machine or the control group has.
    #[error(
        "memory-budget is {budget} bytes, and the machine or its control group has {available}: \
         lower it"
    )]
    BudgetTooLarge {
        /// The budget, in bytes.
        budget: usize,
        /// The memory that there is, in bytes.
        available: usize,
    },
    /// `memory-budget` is less than the clients take that may come.
    #[error(
        "memory-budget needs {needed} bytes for {clients} idle clients, and has {budget}: raise it \
         or lower max-connections"
    )]
    BudgetTooSmall {
        /// The smallest budget for so many clients, in bytes.
        needed: usize,
        /// The budget, in bytes.
        budget: usize,
        /// The number of clients that may come.
        clients: usize,
    },
    /// systemd hands over a socket that cannot be listened on.
    #[error("socket {number} of systemd is no TCP listener: {source}")]
    InheritedSocket {
        /// The place of the socket among those that are handed over, from 0.
        number: usize,
        /// The answer of the system.
        source: io::Error,
    },
}

/// Why a line of the file of settings is not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is not TOML, for this reason.
    #[error("{0}")]
    Syntax(String),
    /// No setting has this name.
    #[error("unknown key `{0}`")]
    UnknownKey(String),
    /// The value of this key is neither a text, a number, a truth value nor a list of these.
    #[error("`{0}` has a value of another kind")]
    Kind(String),
    /// The flag of this name does not take the value, for this reason.
    #[error("{0}")]
    Value(String),
}

/// Why a text is no value of a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// It is no time in seconds.
    #[error("not a number of seconds between 0 and {most}")]
    Seconds {
        /// The longest time.
        most: u64,
    },
    /// It is no time in milliseconds.
    #[error("not a number of milliseconds between 0 and {most}")]
    Milliseconds {
        /// The longest time.
        most: u64,
    },
    /// It is no number of messages in a second.
    #[error("not a number of messages a second between 0 and {most}")]
    MessageRate {
        /// The most messages.
        most: u32,
    },
    /// It is no number of bytes.
    #[error("not a number of bytes, such as 1000000, 64k or 1.5GiB")]
    Bytes,
    /// It is no network and no address.
    #[error("not a network such as 10.0.0.0/8")]
    Network,
    /// It does not begin with the path of a namespace.
    #[error("a namespace begins with a slash and has no comma or question mark")]
    Namespace,
    /// A namespace is given a key that is empty.
    #[error("the key after the equals sign is empty")]
    EmptyKey,
    /// No part that an address may have.
    #[error("not a number or auto")]
    AddressShare,
    /// It names no policy for clients that read too slowly.
    #[error("not close, drop-oldest or latest")]
    SlowClient,
}

impl ConfigError {
    /// A text is empty that must not be.
    pub(crate) const fn empty(setting: &'static str) -> Self {
        Self::Empty { setting }
    }

    /// A setting means nothing without `needed`.
    pub(crate) const fn needs(setting: &'static str, needed: &'static str) -> Self {
        Self::Needs { setting, needed }
    }
}

/// The first paragraph of a message, in one line and without `error: ` before it.
pub(crate) fn one_line(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}
