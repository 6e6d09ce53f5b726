//! What an operator wrote of what stands between this node and its clients.

use super::{Network, Seconds};

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

    /// Refuse what is for sessions of other nodes, in place of carrying it there
    #[arg(
        long,
        env = "WOMACK_NO_RELAY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub no_relay: Option<bool>,

    /// Prefix of the Redis channels on which nodes speak to one another [default: womack-relay]
    #[arg(long, env = "WOMACK_RELAY_KEY", value_name = "KEY")]
    pub relay_key: Option<String>,

    /// Secret of 16 bytes or more that all nodes share: messages on those channels without its MAC
    /// are dropped; better set as WOMACK_RELAY_SECRET than as a flag, which others on the machine
    /// can read
    #[arg(
        long,
        env = "WOMACK_RELAY_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub relay_secret: Option<String>,

    /// Seconds that another node may take to answer, or to show that it is there [default: 5]
    #[arg(long, env = "WOMACK_RELAY_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub relay_timeout_seconds: Option<Seconds>,

    /// Requests and WebSockets that may be under way to other nodes, and as many from them
    /// [default: 10000]
    #[arg(long, env = "WOMACK_MAX_RELAYED_REQUESTS", value_name = "N")]
    pub max_relayed_requests: Option<usize>,

    /// Bytes that may wait to be published for other nodes [default: 67108864]
    #[arg(long, env = "WOMACK_MAX_RELAY_BYTES", value_name = "BYTES")]
    pub max_relay_bytes: Option<usize>,

    /// Seconds that the server serves on after it was told to stop, so that balancers find out
    /// [default: 0]
    #[arg(long, env = "WOMACK_DRAIN_DELAY", value_name = "SECONDS")]
    pub drain_delay: Option<Seconds>,

    /// Seconds after which a client is told to connect again, perhaps to another node; a tenth of
    /// that sooner or later [default: never]
    #[arg(long, env = "WOMACK_MAX_CONNECTION_AGE", value_name = "SECONDS")]
    pub max_connection_age: Option<Seconds>,
}
