//! The refusal of a connection for which there is no descriptor.

use std::{io, net::IpAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use womack_ledger::{Limit, SlotError};

use super::{admission::warn_of_address, context::Http};

/// How long a client has to read that there is no room.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// The answer to whatever it asks for. It is that of an overloaded server.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Connection: close\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 20\r\n\r\n\
    too many connections";

/// Tells a client that there is no room.
pub(super) async fn refuse(stream: &mut TcpStream) {
    let telling = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        // A request that was not read would have the system reset the connection, and the answer
        // would be lost.
        let mut request = [0; 1024];
        while stream.read(&mut request).await? > 0 {}
        io::Result::Ok(())
    };
    // Whoever does not read it in time does without.
    timeout(REFUSAL_TIME, telling).await.ok();
}

impl Http {
    /// Counts that a connection from `address` was refused.
    pub(super) fn count_refused_socket(&self, error: SlotError, address: Option<IpAddr>) {
        match error {
            SlotError::Full => {
                self.server.metrics.limit(Limit::OpenFiles);
                self.server.descriptors.warn();
            }
            SlotError::Address => {
                self.server.metrics.limit(Limit::MaxConnectionsPerAddress);
                address.into_iter().for_each(warn_of_address);
            }
        }
    }
}
