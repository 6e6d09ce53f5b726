//! Connections for which there is no descriptor among those for clients.
//!
//! An idle connection makes room, if there is one. Otherwise the client is told to come again; so
//! many at one time as the server can afford, and others are closed without a word.

use std::{future::poll_fn, rc::Rc, time::Duration};

use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tokio_util::sync::CancellationToken;
use womack_ledger::SlotError;

use super::{
    connection::{Accepted, serve_connection},
    context::Http,
    no_room::refuse,
};

/// How long a connection may wait for an idle one to be closed.
const ROOM_TIME: Duration = Duration::from_secs(1);
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
