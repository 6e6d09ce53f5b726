//! The limits of clients.

/// The limits of one client, and of all of them together.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Clients connected at one time; one more is told so and closed.
    pub max_connections: usize,
    /// Bytes of one command, all its arguments together, or of one transaction; a longer command
    /// is a protocol error, and what is too much for a transaction aborts it.
    pub max_command_bytes: usize,
    /// Arguments of one command; one more is a protocol error.
    pub max_command_arguments: usize,
    /// Bytes waiting to be read by one client, replies and messages alike; over it the client is
    /// cut off.
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
