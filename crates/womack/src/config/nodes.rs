//! What stands between this node and its clients.

use ipnet::IpNet;

use super::check;
use crate::{error::Error, settings::NodeSettings};

/// What stands between this node and its clients: balancers, and other nodes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Nodes {
    /// Networks whose proxies are believed whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted proxies begin with the PROXY protocol.
    pub proxy_protocol: bool,
}

impl Nodes {
    /// Fills what `settings` leave open with the defaults.
    ///
    /// # Errors
    /// [`Error::Config`] for what nobody can mean.
    pub fn resolve(settings: NodeSettings) -> Result<Self, Error> {
        let defaults = Self::default();
        let trusted_proxies = settings.trusted_proxy.unwrap_or_default();
        let nodes = Self {
            trusted_proxies: trusted_proxies.iter().map(|network| network.0).collect(),
            proxy_protocol: settings.proxy_protocol.unwrap_or(defaults.proxy_protocol),
        };
        nodes.check()?;
        Ok(nodes)
    }

    fn check(&self) -> Result<(), Error> {
        check(&[(
            !self.proxy_protocol || !self.trusted_proxies.is_empty(),
            "proxy-protocol needs trusted-proxy",
        )])
    }
}
