//! Which Redis is meant, and how it is reached: one server, the master that sentinels name, or a
//! cluster; over TCP, TLS or a socket of this machine.

pub(crate) mod ask_identity;
mod cluster;
mod dispatch;
mod sentinel;
#[cfg(feature = "simulation")]
pub mod simulation;
mod tls;
mod url;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, RedisConnectionInfo, RedisError,
    aio::{MultiplexedConnection, PubSub},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::timeout,
};

use crate::identity::UnverifiedLinks;

pub(crate) use self::{
    cluster::{Slots, slot},
    sentinel::Master,
};
pub use self::{
    dispatch::Dispatch,
    tls::{TlsError, TlsFiles},
};

/// How long the network may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long Redis may take to answer.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Which Redis is meant, as a URL says it, with the files that TLS needs.
#[derive(Clone, Debug)]
pub struct Backend {
    pub(crate) kind: Kind,
    login: Login,
    /// Of the sentinels, who may have another password than their master.
    sentinel_login: Login,
    db: i64,
    /// There if TLS is spoken.
    tls: Option<Arc<TlsFiles>>,
    pub(crate) unverified: UnverifiedLinks,
    /// Makes connections in place of the network.
    #[cfg(feature = "simulation")]
    pub(crate) connector: Option<simulation::SharedConnector>,
}

/// How many servers there are, and which of them is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// This one.
    One(Address),
    /// The one that sentinels call the master of a service.
    Sentinel {
        sentinels: Vec<Address>,
        service: String,
    },
    /// All masters of a cluster, of which these are some nodes.
    Cluster(Vec<Address>),
}

/// Where a server is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Address {
    /// A port of a host.
    Tcp {
        /// The name of the host, or its address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket of this machine.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// As whom one logs in; without a password, one does not.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl Login {
    fn settings(&self, db: i64) -> RedisConnectionInfo {
        let mut settings = RedisConnectionInfo::default().set_db(db);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        settings
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish()
    }
}

/// A connection's bytes.
#[cfg_attr(not(feature = "simulation"), expect(unreachable_pub))]
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a Redis cannot be spoken with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The network or the server ends the connection.
    #[error("{0}: {1}")]
    Io(Address, std::io::Error),
    /// The network or the server takes too long.
    #[error("{0} does not answer in time")]
    Late(Address),
    /// The server does not speak the Redis protocol.
    #[error("{0} is no redis")]
    NotRedis(Address),
    /// The server refuses, for this reason: a wrong password, for one.
    #[error("{0} refuses: {1}")]
    Refused(Address, String),
    /// The server is not one to be used, for this reason, said of the server: it is a replica
    /// without a master, for one.
    #[error("{0} {1}")]
    WrongServer(Address, &'static str),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The sentinels do not name a master.
    #[error("no sentinel knows a master of {service:?}: {last}")]
    NoMaster {
        /// The service that they were asked for.
        service: String,
        /// The error of the one that was asked last.
        last: String,
    },
    /// The cluster does not tell which node has which slot.
    #[error("no node tells how the cluster is laid out: {0}")]
    NoCluster(String),
}

/// A connection for commands, which ends when its driver does.
pub struct Connected {
    /// The server.
    pub address: Address,
    /// Sends commands; clones share the connection.
    pub connection: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Connected {
    /// Whether it is known to be gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.driver.is_finished()
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Backend {
    /// As whom one logs in.
    pub(crate) const fn login(&self) -> &Login {
        &self.login
    }

    /// Connects to a server of this backend, without a word yet. Files are read each time, so that
    /// renewed certificates are taken.
    pub(crate) async fn open(&self, address: &Address) -> Result<Box<dyn Stream>, Unreachable> {
        let failed = |error| Unreachable::Io(address.clone(), error);
        let late = |_| Unreachable::Late(address.clone());
        #[cfg(feature = "simulation")]
        if let Some(connector) = &self.connector {
            let connecting = timeout(CONNECT_TIMEOUT, connector.0.connect(address));
            return connecting.await.map_err(late)?.map_err(failed);
        }
        let (host, port) = match address {
            Address::Unix(path) => {
                let connecting = timeout(CONNECT_TIMEOUT, UnixStream::connect(path));
                return Ok(Box::new(connecting.await.map_err(late)?.map_err(failed)?));
            }
            Address::Tcp { host, port } => (host.as_str(), *port),
        };
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port)));
        let stream = connecting.await.map_err(late)?.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let Some(files) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let connector = files.connector()?;
        let name = tls::server_name(host)?;
        let handshake = timeout(REPLY_TIMEOUT, connector.connect(name, stream));
        Ok(Box::new(handshake.await.map_err(late)?.map_err(failed)?))
    }

    /// Connects to a server of this backend, for commands.
    pub(crate) async fn commands(&self, address: &Address) -> Result<Connected, Unreachable> {
        self.commands_as(address, &self.login, self.db).await
    }

    async fn commands_as(
        &self,
        address: &Address,
        login: &Login,
        db: i64,
    ) -> Result<Connected, Unreachable> {
        let stream = self.open(address).await?;
        let settings = login.settings(db);
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(REPLY_TIMEOUT));
        let opening = MultiplexedConnection::new_with_config(&settings, stream, config);
        let opened = timeout(REPLY_TIMEOUT, opening).await;
        let (connection, driver) = opened
            .map_err(|_| Unreachable::Late(address.clone()))?
            .map_err(|error| Unreachable::Refused(address.clone(), one_line(&error)))?;
        Ok(Connected {
            address: address.clone(),
            connection,
            driver: tokio::spawn(driver),
        })
    }

    /// Connects to the server that writes what is said with `key`.
    ///
    /// # Errors
    /// It cannot be reached, or nobody knows where it is.
    pub async fn writer(&self, key: &str) -> Result<Connected, Unreachable> {
        self.commands(&self.owner(key).await?).await
    }

    /// Connects to a server of this backend, to listen.
    ///
    /// # Errors
    /// It cannot be reached, or does not let in.
    pub async fn listener(&self, address: &Address) -> Result<PubSub, Unreachable> {
        let stream = self.open(address).await?;
        let settings = self.login.settings(self.db);
        let opened = timeout(REPLY_TIMEOUT, PubSub::new(&settings, stream)).await;
        opened
            .map_err(|_| Unreachable::Late(address.clone()))?
            .map_err(|error| Unreachable::Refused(address.clone(), one_line(&error)))
    }

    /// Where what is said with `key` is written.
    async fn owner(&self, key: &str) -> Result<Address, Unreachable> {
        match &self.kind {
            Kind::One(address) => Ok(address.clone()),
            Kind::Sentinel { .. } => Ok(self.master().await?.address),
            Kind::Cluster(_) => {
                let slots = self.slots(&[], &[]).await?;
                let owner = slots.owner(slot(key)).cloned();
                owner.ok_or_else(|| Unreachable::NoCluster("its slot has no master".to_owned()))
            }
        }
    }

    /// Whether there are several masters.
    pub const fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }
}

impl From<Unreachable> for RedisError {
    fn from(error: Unreachable) -> Self {
        Self::from((
            redis::ErrorKind::Io,
            "redis cannot be reached",
            error.to_string(),
        ))
    }
}

/// What the redis package says of an error, without its line breaks.
fn one_line(error: &RedisError) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
