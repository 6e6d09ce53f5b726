//! Connections that a simulation makes.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc};

use super::{Address, Backend, Stream};

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Makes connections in place of the network.
pub trait Connector: Send + Sync {
    /// Connects to `address`.
    fn connect(&self, address: &Address) -> Connecting;
}

/// The slot of a channel in a cluster.
#[must_use]
pub fn slot(channel: &str) -> u16 {
    super::slot(channel)
}

#[derive(Clone)]
pub(crate) struct SharedConnector(pub(super) Arc<dyn Connector>);

impl fmt::Debug for SharedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedConnector")
    }
}

impl Backend {
    /// The same backend, to which `connector` makes the connections.
    #[must_use]
    pub fn over(self, connector: Arc<dyn Connector>) -> Self {
        Self {
            connector: Some(SharedConnector(connector)),
            ..self
        }
    }
}
