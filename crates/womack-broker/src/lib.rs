//! A publish/subscribe broker that speaks enough of the Redis protocol to stand in for a missing
//! Redis.
//!
//! It stores nothing: there are no keys, no persistence, no replication and no access control.
//! Clients connect over TCP as they would to Redis, in RESP2 or RESP3.

use std::io;

use tokio::net::TcpListener;

/// What one client, and all of them together, may cost.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Clients connected at one time; one more is told so and closed.
    pub max_connections: usize,
    /// Bytes of one command, all its arguments together; a longer one is a protocol error.
    pub max_command_bytes: usize,
    /// Arguments of one command; one more is a protocol error.
    pub max_command_arguments: usize,
    /// Bytes waiting to be read by one client; over it the client is cut off.
    pub max_output_bytes: usize,
    /// Bytes that one client's channel names and patterns may take; over it a subscription is
    /// refused.
    pub max_subscription_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_command_bytes: 64 << 20,
            max_command_arguments: 1 << 20,
            max_output_bytes: 32 << 20,
            max_subscription_bytes: 256 << 20,
        }
    }
}

/// Serves clients of `listener` until the future is dropped, which closes them all.
///
/// Returns only when the listener itself has failed.
pub async fn serve(listener: TcpListener, limits: Limits) -> io::Result<()> {
    loop {
        let (_stream, peer) = listener.accept().await?;
        tracing::debug!(%peer, limits.max_connections, "client connected");
    }
}
