//! A shard's connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use slab::Slab;
use womack_ledger::Ledger;
use womack_proto::{Form, NamespaceId};

use super::{
    connection::Connection,
    metas::Metas,
    rate_limit::Work,
    recently_closed::{Farewell, Goodbyes},
};
use crate::{
    limits::Limits,
    report::Meta,
    shard::{
        clients::polling::Polling,
        delivery::egress::{Recipient, Recipients},
        io::{socket_id::SocketId, wire::Wire},
        topics::subscriptions::Moved,
    },
    sid::{ConnectionId, ConnectionRef},
};

/// A client that has taken nothing of what waits for it for so long makes no progress.
const PROGRESS_TIME: Duration = Duration::from_secs(10);

/// The connections of a shard, and what it knows of those that have just ended.
pub(in crate::shard) struct Connections {
    slab: Slab<Connection>,
    /// Where clients come from, as far as that is limited.
    addresses: HashMap<ConnectionId, IpAddr>,
    recently_closed: Goodbyes,
    metas: Metas,
    /// Packets are counted in the time since then.
    started: Instant,
}

/// A connection that is not among the others any more.
pub(in crate::shard) struct Removed {
    pub(in crate::shard) connection: Connection,
    /// Under which address it counts, if it does.
    pub(in crate::shard) address: Option<IpAddr>,
}

impl Connections {
    /// There is none yet. What is remembered of clients is charged to `ledger`.
    pub(in crate::shard) fn new(ledger: &Ledger, now: Instant) -> Self {
        Self {
            slab: Slab::new(),
            addresses: HashMap::new(),
            recently_closed: Goodbyes::default(),
            metas: Metas::new(ledger),
            started: now,
        }
    }

    /// The id that the next connection will have.
    pub(in crate::shard) fn next_id(&self) -> ConnectionId {
        ConnectionId::at(self.slab.vacant_key())
    }

    /// Adds a connection, which counts under `address`, if under any.
    pub(in crate::shard) fn add(
        &mut self,
        connection: Connection,
        address: Option<IpAddr>,
    ) -> ConnectionId {
        let id = ConnectionId::at(self.slab.insert(connection));
        if let Some(address) = address {
            self.addresses.insert(id, address);
        }
        id
    }

    /// Takes a connection out.
    pub(in crate::shard) fn remove(&mut self, id: ConnectionId) -> Option<Removed> {
        let connection = self.slab.try_remove(id.index())?;
        let address = self.addresses.remove(&id);
        Some(Removed {
            connection,
            address,
        })
    }

    pub(in crate::shard) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slab.get(id.index())
    }

    pub(in crate::shard) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slab.get_mut(id.index())
    }

    /// Names a connection so that it cannot be taken for a later one.
    pub(in crate::shard) fn named(&self, id: ConnectionId) -> Option<ConnectionRef> {
        self.get(id).map(|connection| connection.named(id))
    }

    /// Whether a client is still there, in its namespace.
    pub(in crate::shard) fn is_joined(&self, named: ConnectionRef, namespace: NamespaceId) -> bool {
        self.get(named.id).is_some_and(|found| {
            found.secret() == named.secret && found.kind().is_joined(namespace)
        })
    }

    /// How many there are.
    pub(in crate::shard) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Slots of all that there are, those that are free included.
    pub(in crate::shard) fn slots(&self) -> usize {
        self.slab.capacity()
    }

    /// The ids of all.
    pub(in crate::shard) fn ids(&self) -> Vec<ConnectionId> {
        self.iter().map(|(id, _)| id).collect()
    }

    /// The ids of those in a namespace.
    pub(in crate::shard) fn in_namespace(&self, namespace: NamespaceId) -> Vec<ConnectionId> {
        let found = self.iter();
        let found = found.filter(|(_, connection)| connection.kind().is_joined(namespace));
        found.map(|(id, _)| id).collect()
    }

    /// The ids of those that are not about to end.
    pub(in crate::shard) fn staying(&self) -> impl Iterator<Item = ConnectionId> {
        let found = self.iter();
        let found = found.filter(|(_, connection)| !connection.is_ending());
        found.map(|(id, _)| id)
    }

    /// Those who hold memory without making progress, and those who hold more than `share` bytes.
    /// Whoever is to make room first comes last: of the former, then of the latter, the heaviest.
    pub(in crate::shard) fn burdens(&self, share: usize, now: Instant) -> Vec<ConnectionId> {
        let held = self.iter().map(|(id, connection)| {
            let is_stalled = connection.is_stalled(PROGRESS_TIME, now);
            (is_stalled, connection.weight(), id)
        });
        let is_burden = |(is_stalled, weight, _): &(bool, usize, _)| {
            *weight > share || (*is_stalled && *weight > 0)
        };
        let mut burdens: Vec<_> = held.filter(is_burden).collect();
        burdens.sort_unstable();
        burdens.into_iter().map(|(_, _, id)| id).collect()
    }

    /// The WebSocket that a socket of the system carries.
    pub(in crate::shard) fn wire_mut(&mut self, socket: SocketId) -> Option<&mut Wire> {
        match socket {
            SocketId::Client(id) => self.get_mut(id)?.kind_mut().wire_mut(),
            SocketId::Probe(id) => self.polling_mut(id)?.probe_wire_mut(),
            SocketId::Closing(_) | SocketId::Nobody => None,
        }
    }

    /// The state of a client that polls.
    pub(in crate::shard) fn polling_mut(&mut self, id: ConnectionId) -> Option<&mut Polling> {
        self.get_mut(id)?.kind_mut().polling_mut()
    }

    /// The form of messages to a client without Engine.IO; `None` for a session.
    pub(in crate::shard) fn form(&self, id: ConnectionId) -> Option<Form> {
        self.get(id)?.kind().form()
    }

    /// Notes that a subscriber has another place in its topic.
    pub(in crate::shard) fn note_place(&mut self, moved: Moved) {
        let Moved { subscriber, place } = moved;
        if let Some(connection) = self.get_mut(subscriber.connection)
            && let Some(membership) = connection.membership_mut(subscriber.membership)
        {
            membership.place = place;
        }
    }

    /// Counts work for a client. False if it is too much.
    pub(in crate::shard) fn take_work(
        &mut self,
        id: ConnectionId,
        work: Work,
        limits: &Limits,
        now: Instant,
    ) -> bool {
        let millis = now.saturating_duration_since(self.started).as_millis() as u32;
        self.get_mut(id)
            .is_none_or(|connection| connection.take_work(work, limits, millis))
    }

    /// Remembers for a moment that a session has ended.
    pub(in crate::shard) fn remember(&mut self, secret: u64, farewell: Farewell, now: Instant) {
        self.recently_closed.remember(secret, farewell, now);
    }

    /// As [`Goodbyes::take`].
    pub(in crate::shard) fn farewell(&mut self, secret: u64, now: Instant) -> Option<Farewell> {
        self.recently_closed.take(secret, now)
    }

    /// Whether the server has just ended a session.
    pub(in crate::shard) fn was_closed_by_server(&self, secret: u64, now: Instant) -> bool {
        self.recently_closed.is_by_server(secret, now)
    }

    /// The `meta` of a client in a namespace.
    pub(in crate::shard) fn meta(&self, secret: u64, namespace: NamespaceId) -> Option<&Meta> {
        self.metas.get(secret, namespace)
    }

    /// As [`Metas::set`].
    pub(in crate::shard) fn set_meta(
        &mut self,
        secret: u64,
        namespace: NamespaceId,
        meta: Meta,
    ) -> bool {
        self.metas.set(secret, namespace, meta)
    }

    /// Forgets what is remembered about a client that has left a namespace.
    pub(in crate::shard) fn forget_meta(&mut self, secret: u64, namespace: NamespaceId) {
        self.metas.forget(secret, namespace);
    }

    fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        let found = self.slab.iter();
        found.map(|(slot, connection)| (ConnectionId::at(slot), connection))
    }
}

impl Recipients for Connections {
    fn recipient(&mut self, id: ConnectionId) -> Option<Recipient<'_>> {
        self.get_mut(id).map(Connection::as_recipient)
    }

    fn wire(&self, id: ConnectionId) -> Option<&Wire> {
        self.get(id)?.kind().wire()
    }
}
