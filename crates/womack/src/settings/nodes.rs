//! What an operator wrote of what stands between this node and its clients.

use super::Network;

/// What an operator wrote of balancers and other nodes, on the command line, in the environment or
/// in the file.
#[derive(Clone, Debug, Default, clap::Args, merge::Merge)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct NodeSettings {
    /// Network of proxies, such as `10.0.0.0/8`, that are believed whom they speak for; may be
    /// given again
    #[arg(
        long,
        env = "WOMACK_TRUSTED_PROXY",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub trusted_proxy: Option<Vec<Network>>,

    /// Expect the PROXY protocol, version 1 or 2, of trusted proxies; needs --trusted-proxy
    #[arg(
        long,
        env = "WOMACK_PROXY_PROTOCOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub proxy_protocol: Option<bool>,
}
