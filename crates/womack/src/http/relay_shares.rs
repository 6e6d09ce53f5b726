//! The shares of clients in what this node carries to other nodes.
//!
//! A request for a session of another node waits there, and its body travels through Redis, whether
//! there is such a session or not: this node cannot know. So an address has its share of the requests
//! that may be under way, and of the bytes that these bring.

use std::{net::IpAddr, time::Duration};

use tokio::{task::spawn_local, time::sleep};
use womack_engine::Sid;
use womack_ledger::{AddressShare, BytesSlot, Limit, Slot, SlotError};
use womack_proto::SessionError;

use super::{admission::warn_of_address, context::Http};

/// A body that is not longer is like the request itself, and not counted beside it.
const SMALL_BYTES: usize = 4 << 10;
/// For how long a body counts that no session has taken. So an address that invents session ids
/// brings no more than its share of the bytes in this time.
const REFUSED_TIME: Duration = Duration::from_secs(10);

/// The bytes of a body on its way to another node. They count for a while longer, unless the session
/// takes them.
pub(super) struct RelayedBytes(Option<BytesSlot>);

impl RelayedBytes {
    /// A session has taken the body.
    pub(super) fn taken(mut self) {
        self.0 = None;
    }
}

impl Drop for RelayedBytes {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            spawn_local(async move {
                sleep(REFUSED_TIME).await;
                drop(slot);
            });
        }
    }
}

impl Http {
    /// A place among the requests for other nodes, if that is what a request of `client` for `sid` is.
    ///
    /// # Errors
    /// [`SessionError::Overloaded`] if there is none, or its address has its share.
    pub(super) fn relay_slot(
        &self,
        sid: Sid,
        client: IpAddr,
    ) -> Result<Option<Slot>, SessionError> {
        if self.is_own(sid) {
            return Ok(None);
        }
        let taken = self
            .server
            .relay_shares
            .requests
            .take(Some(client), self.share());
        taken.map(Some).map_err(|error| {
            self.server.metrics.limit(Limit::MaxRelayedRequests);
            overloaded(error, client)
        })
    }

    /// The same for the body of a request.
    ///
    /// # Errors
    /// As [`Http::relay_slot`].
    pub(super) fn relay_bytes(
        &self,
        sid: Sid,
        client: IpAddr,
        bytes: usize,
    ) -> Result<RelayedBytes, SessionError> {
        if self.is_own(sid) || bytes <= SMALL_BYTES {
            return Ok(RelayedBytes(None));
        }
        let share = match self.share() {
            AddressShare::Unlimited => AddressShare::Unlimited,
            AddressShare::Auto | AddressShare::Most(_) => AddressShare::Auto,
        };
        let pool = &self.server.relay_shares.bytes;
        let taken = pool.take_bytes(client, share, bytes);
        taken.map(|slot| RelayedBytes(Some(slot))).map_err(|error| {
            self.server.metrics.limit(Limit::MaxRelayBytes);
            overloaded(error, client)
        })
    }

    fn share(&self) -> AddressShare {
        let limits = self.server.config.limits.load();
        limits.max_connections_per_address.of_sockets()
    }
}

fn overloaded(error: SlotError, client: IpAddr) -> SessionError {
    if error == SlotError::Address {
        warn_of_address(client);
    }
    SessionError::Overloaded
}
