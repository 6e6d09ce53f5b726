//! The descriptors that connections may have: a part for clients and a part for operators, so that
//! neither can keep the server from Redis.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;
use womack_engine::Throttle;
use womack_ledger::{AddressShare, Slot, SlotError, SlotPool};

use super::{idle_connections::IdleConnections, surface::Surface};

/// Connections to the listener for operators.
const OPERATORS: usize = 16;
/// Connections without a descriptor of those for clients, while one of these is made free or their
/// client is told to come again.
const TURNED_AWAY: usize = 16;
/// Descriptors of the process itself, whoever is there: 28 at rest with everything that can be
/// switched on, and the rest for links to several nodes of Redis and for those that are made anew.
const PROCESS: u64 = 48;
/// Descriptors of a shard: 9 at rest, and what it publishes with.
const SHARD: u64 = 12;
/// How often the log says that there are none left.
const LINES: Duration = Duration::from_secs(10);

/// How many descriptors clients may have where the process may have `files`.
pub(crate) fn for_clients(files: u64, shards: usize) -> u64 {
    let shards = SHARD.saturating_mul(shards as u64);
    let reserved = PROCESS + shards + (OPERATORS + TURNED_AWAY) as u64;
    // Where hardly any are allowed, there is no right share, and half of them serves somebody.
    files - reserved.min(files / 2)
}

/// The descriptors that connections may have.
pub(crate) struct Descriptors {
    clients: DescriptorPool,
    operators: DescriptorPool,
    turned_away: Arc<Semaphore>,
    lines: Mutex<Throttle>,
}

/// A part of the descriptors, and the connections that can make room in it.
pub(super) struct DescriptorPool {
    pub(super) sockets: Arc<SlotPool>,
    pub(super) idle: Arc<IdleConnections>,
}

impl DescriptorPool {
    fn new(most: usize, shards: usize) -> Self {
        Self {
            sockets: Arc::new(SlotPool::new(most)),
            idle: Arc::new(IdleConnections::new(shards)),
        }
    }

    /// Asks for a descriptor for a connection from `address`, if it is known, of which an address
    /// may have its `share`.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn take(
        &self,
        address: Option<IpAddr>,
        share: AddressShare,
    ) -> Result<Slot, SlotError> {
        self.sockets.take(address, share)
    }

    /// Closes the connection that has been idle longest of those that can make room for one from
    /// `address`, to which `error` was told. False if there is none.
    pub(super) fn make_room(&self, error: SlotError, address: Option<IpAddr>) -> bool {
        let whose = address.filter(|_| error == SlotError::Address);
        self.idle.evict(whose, Instant::now())
    }
}

impl Descriptors {
    /// The descriptors of a server with so many shards, of which clients may have `clients`.
    pub(crate) fn new(clients: usize, shards: usize) -> Self {
        Self {
            clients: DescriptorPool::new(clients, shards),
            operators: DescriptorPool::new(OPERATORS, shards),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            lines: Mutex::new(Throttle::new(LINES)),
        }
    }

    /// The sockets of clients, however these came.
    pub(crate) const fn of_clients(&self) -> &Arc<SlotPool> {
        &self.clients.sockets
    }

    pub(super) const fn pool(&self, surface: Surface) -> &DescriptorPool {
        match surface {
            Surface::Admin => &self.operators,
            Surface::All | Surface::Clients => &self.clients,
        }
    }

    /// Lets a connection stay for a moment to which `error` was told. `None` if there are too many
    /// of them already; those whose address has its share have half of the places.
    pub(super) fn turn_away(&self, error: SlotError) -> Option<OwnedSemaphorePermit> {
        let least = match error {
            SlotError::Full => 0,
            SlotError::Address => TURNED_AWAY / 2,
        };
        let has_room = self.turned_away.available_permits() > least;
        let permit = has_room.then(|| self.turned_away.clone().try_acquire_owned());
        permit.and_then(Result::ok)
    }

    /// Says now and then that there are no descriptors left.
    pub(super) fn warn(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held_back) = lines.pass(Instant::now()) {
            warn!(
                held_back,
                "clients have all descriptors that they may have: new connections get 503; raise \
                 the limit of open files (ulimit -n, LimitNOFILE)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_have_all_descriptors() {
        assert_eq!(for_clients(200, 1), 108);
        assert_eq!(for_clients(1024, 4), 896);
        assert_eq!(for_clients(60, 2), 30);
        assert_eq!(for_clients(0, 2), 0);
    }
}
