//! Connections for which there is no descriptor among those for clients.
//!
//! An idle connection makes room, if there is one. Otherwise the client is told to come again; so
//! many at one time as the server can afford, and others are closed without a word.

use std::{future::poll_fn, io, net::IpAddr, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use womack_ledger::{Limit, SlotError};

use super::{
    admission::warn_of_address,
    connection::{Accepted, serve_connection},
    context::Http,
};

/// How long a connection may wait for an idle one to be closed.
const ROOM_TIME: Duration = Duration::from_secs(1);
/// How long a client has to read that there is no room.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// The answer to whatever it asks for. It is that of an overloaded server.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Connection: close\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 20\r\n\r\n\
    too many connections";

/// Serves a connection for which `error` says that there is no room, once an idle one has made it;
/// or refuses it. `permit` lets it stay meanwhile.
pub(super) async fn serve_when_there_is_room(
    http: Rc<Http>,
    mut accepted: Accepted,
    error: SlotError,
    permit: OwnedSemaphorePermit,
    closing: CancellationToken,
) {
    let (pool, address) = (
        http.server.descriptors.pool(accepted.surface),
        accepted.address,
    );
    if pool.make_room(error, address) {
        let share = http.socket_share(accepted.surface);
        let taking = poll_fn(|context| pool.sockets.poll_take(address, share, context));
        if let Ok(slot) = timeout(ROOM_TIME, taking).await {
            drop(permit);
            accepted.slot = Some(slot);
            return serve_connection(http, accepted, closing).await;
        }
    }
    http.count_refused_socket(error, address);
    refuse(&mut accepted.stream).await;
}

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
