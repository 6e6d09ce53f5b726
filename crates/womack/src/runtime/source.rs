//! Which Redis the server uses, and the embedded broker in place of a missing one.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use womack_redis::{Backend, TlsFiles};

use crate::{
    config::{Redis, RedisSource},
    error::Error,
};

const DEFAULT_PORT: u16 = 6379;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Where messages come from.
pub(crate) struct Source {
    /// What to connect to.
    pub(crate) backend: Backend,
    /// The embedded broker's listener, if it is to be served.
    pub(crate) broker: Option<TcpListener>,
}

impl Source {
    /// Finds the Redis that the configuration means. The embedded broker takes the place of a
    /// Redis on localhost that nobody named and that is not there, and of no other.
    ///
    /// # Errors
    /// [`Error::Listen`] when the embedded broker was asked for and cannot listen.
    pub(crate) async fn find(wanted: &Redis) -> Result<Self, Error> {
        match &wanted.source {
            RedisSource::Url(_) => Ok(Self {
                backend: local_backend(wanted)?,
                broker: None,
            }),
            RedisSource::Embedded(port) => Self::embedded(*port).await,
            RedisSource::LocalOrEmbedded => {
                let connecting = TcpStream::connect(("localhost", DEFAULT_PORT));
                let refused = match timeout(ANSWER_TIMEOUT, connecting).await {
                    Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
                    Ok(Ok(_)) | Err(_) => false,
                };
                if !refused {
                    return Ok(Self {
                        backend: local_backend(wanted)?,
                        broker: None,
                    });
                }
                let source = Self::embedded(DEFAULT_PORT).await?;
                tracing::warn!(
                    address = %format_args!("127.0.0.1:{DEFAULT_PORT}"),
                    "no Redis is set and none listens on localhost: the embedded broker takes its \
                     place, for this machine only"
                );
                Ok(source)
            }
        }
    }

    async fn embedded(port: u16) -> Result<Self, Error> {
        let address = (Ipv4Addr::LOCALHOST, port);
        let failed = |source| Error::Listen {
            address: format!("{}:{port}", address.0),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let url = format!("redis://{}", listener.local_addr().map_err(failed)?);
        Ok(Self {
            backend: Backend::parse(&url, &TlsFiles::default())?,
            broker: Some(listener),
        })
    }
}

/// What a program beside the server, such as `womack publish`, connects to.
///
/// # Errors
/// [`Error::Config`] when the URL is none.
pub(crate) fn local_backend(wanted: &Redis) -> Result<Backend, Error> {
    let url = match &wanted.source {
        RedisSource::Url(url) => url.clone(),
        RedisSource::Embedded(port) => format!("redis://127.0.0.1:{port}"),
        RedisSource::LocalOrEmbedded => format!("redis://localhost:{DEFAULT_PORT}"),
    };
    Ok(Backend::parse(&url, &wanted.tls)?)
}
