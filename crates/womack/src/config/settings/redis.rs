//! What an operator wrote of Redis, besides where it is.

use std::path::PathBuf;

/// What an operator wrote of Redis, on the command line, in the environment or in the file.
#[derive(Clone, Debug, Default, clap::Args, merge::Merge)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct RedisSettings {
    /// File with the CA certificates to trust, in PEM [default: those of this machine]
    #[arg(long, env = "WOMACK_REDIS_CA", value_name = "FILE")]
    pub redis_ca: Option<PathBuf>,

    /// File with the certificate to show to Redis, in PEM; needs --redis-key
    #[arg(long, env = "WOMACK_REDIS_CERT", value_name = "FILE")]
    pub redis_cert: Option<PathBuf>,

    /// File with the key of that certificate, in PEM
    #[arg(long, env = "WOMACK_REDIS_KEY", value_name = "FILE")]
    pub redis_key: Option<PathBuf>,

    /// Bytes of messages that may wait between Redis and the shards; beyond, they wait at Redis
    /// [default: 67108864]
    #[arg(long, env = "WOMACK_REDIS_BACKLOG_BYTES", value_name = "BYTES")]
    pub redis_backlog_bytes: Option<usize>,

    /// Tell clients by the event `womack:gap` of which of their channels they may have missed
    /// something
    #[arg(
        long,
        env = "WOMACK_GAP_NOTICES",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub gap_notices: Option<bool>,

    /// Bytes of messages that may wait until clients are told of a gap before them; beyond, gaps
    /// are told in parts [default: 4194304]
    #[arg(long, env = "WOMACK_GAP_HOLD_BYTES", value_name = "BYTES")]
    pub gap_hold_bytes: Option<usize>,
}
