//! Memberships that are not settled, and the acknowledgements that wait for them.
//!
//! An acknowledgement speaks of memberships: it is answered `ok` when the client is in each of its
//! channels and each is live at that moment, and fails when the client leaves one of them, when
//! Redis refuses one, or when its time is up. A membership that only failed requests have asked for
//! ends with the last of them.
//!
//! A membership is *settled* when the client has been told that it is live, or when it is live and
//! was joined by a request that waits for no answer. That is when the back end hears of it; a
//! client that leaves before was never there. Settled memberships cost nothing here.

mod ack;
mod client_shares;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::RandomState;
use indexmap::IndexMap;
use womack_ledger::Ledger;

use self::client_shares::ClientShares;
pub(crate) use self::{ack::PendingAck, client_shares::AckLimits};
use crate::{
    encoding::Topic,
    sid::ConnectionId,
    timeout_queue::{Ticket, TimeoutQueue},
};

/// A topic of a channel, in which a client may be.
pub(crate) type Key = (Arc<str>, Topic);

type Map<K, V> = HashMap<K, V, RandomState>;

/// An acknowledgement that is answered, and the consequences for its memberships.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) ack: PendingAck,
    /// Memberships that are settled by it, if all is live; if not, those that end with it.
    pub(crate) memberships: Vec<Key>,
}

/// A membership that is not settled, or that an acknowledgement speaks of.
#[derive(Debug)]
struct Membership {
    state: State,
    /// In the order in which they came, which is that of their deadlines.
    acks: VecDeque<Ticket>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Only requests that wait for their answer have asked for it.
    Provisional,
    /// A request without an answer has asked for it, and it is not live yet.
    Joined,
    Settled,
}

/// The memberships of a shard that are not settled, and the acknowledgements that wait for them.
pub(crate) struct PendingAcks {
    acks: TimeoutQueue<PendingAck>,
    /// Of the clients of a channel in the order in which they asked.
    memberships: Map<Key, IndexMap<ConnectionId, Membership, RandomState>>,
    /// How much waits for each client.
    clients: ClientShares,
    /// Losses since the start. Counts of missing channels of before are void.
    losses: u32,
    ledger: Ledger,
}

impl PendingAcks {
    /// `timeout` is how long an acknowledgement waits; `ledger` is charged what waits.
    pub(crate) fn new(timeout: Duration, ledger: Ledger) -> Self {
        Self {
            acks: TimeoutQueue::new(timeout),
            memberships: Map::default(),
            clients: ClientShares::default(),
            losses: 0,
            ledger,
        }
    }

    /// Whether an acknowledgement of so many channels may wait beside the others.
    pub(crate) fn has_room(&self, ack: &PendingAck, channels: usize, limits: AckLimits) -> bool {
        let weight = ack.weight(channels);
        self.acks.len() < limits.max_waiting
            && self.clients.have_room(ack.client.id, weight, limits)
    }

    /// A client has joined a channel, or is in it and asks again, without waiting for an answer.
    /// True if the membership is settled by it.
    pub(crate) fn joined(
        &mut self,
        key: &Key,
        connection: ConnectionId,
        is_new: bool,
        is_live: bool,
    ) -> bool {
        let known = self.memberships.get_mut(key);
        let known = known.and_then(|clients| clients.get_mut(&connection));
        let Some(membership) = known else {
            if is_new && !is_live {
                self.insert(key.clone(), connection, State::Joined);
            }
            return is_new && is_live;
        };
        if membership.state == State::Settled {
            return false;
        }
        membership.state = if is_live {
            State::Settled
        } else {
            State::Joined
        };
        is_live
    }

    /// A client has been told that it is live in a channel. True if the membership is settled by
    /// it.
    pub(crate) fn told_live(&mut self, key: &Key, connection: ConnectionId, is_new: bool) -> bool {
        let known = self.memberships.get_mut(key);
        let known = known.and_then(|clients| clients.get_mut(&connection));
        known.map_or(is_new, |membership| {
            std::mem::replace(&mut membership.state, State::Settled) != State::Settled
        })
    }

    /// Keeps an acknowledgement until all of `channels` are live; each comes with whether the
    /// client has joined it by this request.
    pub(crate) fn wait(
        &mut self,
        mut ack: PendingAck,
        channels: Vec<(Key, bool)>,
        is_live: impl Fn(&Key) -> bool,
        now: Instant,
    ) {
        let connection = ack.client.id;
        ack.channels = channels.iter().map(|(key, _)| key.clone()).collect();
        ack.count(&is_live, self.losses);
        ack.charge(&self.ledger);
        self.clients.add(connection, ack.weight(channels.len()));
        let ticket = self.acks.push(ack, now);
        for (key, is_new) in channels {
            let state = if is_new {
                State::Provisional
            } else {
                State::Settled
            };
            let clients = self.memberships.entry(key).or_default();
            let membership = clients.entry(connection);
            let membership = membership.or_insert_with(|| Membership {
                state,
                acks: VecDeque::new(),
            });
            membership.acks.push_back(ticket);
        }
    }

    /// A channel was not live and is. Returns the acknowledgements that waited for nothing else,
    /// and the clients whose membership is settled by that alone.
    pub(crate) fn live(
        &mut self,
        key: &Key,
        is_live: impl Fn(&Key) -> bool,
    ) -> (Vec<Answered>, Vec<ConnectionId>) {
        let Some(clients) = self.memberships.get_mut(key) else {
            return Default::default();
        };
        let (mut ready, mut settled) = (Vec::new(), Vec::new());
        for (connection, membership) in clients.iter_mut() {
            if membership.state == State::Joined {
                membership.state = State::Settled;
                settled.push(*connection);
            }
            for ticket in &membership.acks {
                let Some(ack) = self.acks.get_mut(*ticket) else {
                    continue;
                };
                if ack.counted == self.losses {
                    ack.missing = ack.missing.saturating_sub(1);
                } else {
                    ack.count(&is_live, self.losses);
                }
                // It is counted once more before it says so.
                if ack.missing == 0 && ack.count(&is_live, self.losses) {
                    ready.push(*ticket);
                }
            }
        }
        clients.retain(|_, membership| membership.is_kept());
        if clients.is_empty() {
            self.memberships.remove(key);
        }
        let answered = ready.into_iter().filter_map(|ticket| self.succeed(ticket));
        (answered.collect(), settled)
    }

    /// Something that was live is not any more.
    pub(crate) fn lost(&mut self) {
        self.losses = self.losses.wrapping_add(1);
    }

    /// A client has left a channel. Returns whether the membership was settled, and the
    /// acknowledgements that fail for it.
    pub(crate) fn left(&mut self, key: &Key, connection: ConnectionId) -> (bool, Vec<Answered>) {
        let Some(clients) = self.memberships.get_mut(key) else {
            return (true, Vec::new());
        };
        let Some(membership) = clients.swap_remove(&connection) else {
            return (true, Vec::new());
        };
        if clients.is_empty() {
            self.memberships.remove(key);
        }
        let acks = membership.acks.iter();
        let failed = acks.filter_map(|ticket| self.fail(*ticket)).collect();
        (membership.state == State::Settled, failed)
    }

    /// Whether all memberships are settled, and no acknowledgement waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.memberships.is_empty()
    }

    /// Whether a client's membership is settled.
    pub(crate) fn is_settled(&self, key: &Key, connection: ConnectionId) -> bool {
        let clients = self.memberships.get(key);
        let membership = clients.and_then(|clients| clients.get(&connection));
        membership.is_none_or(|membership| membership.state == State::Settled)
    }

    /// The next acknowledgement that has waited too long, if there is one.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Answered> {
        let (ticket, ack) = self.acks.expire(now)?;
        self.clients
            .remove(ack.client.id, ack.weight(ack.channels.len()));
        Some(self.failed(ticket, ack))
    }

    /// Takes back the acknowledgement that was just kept: there are too many.
    pub(crate) fn fail_last(&mut self) -> Option<Answered> {
        let (ticket, ack) = self.acks.pop_last()?;
        self.clients
            .remove(ack.client.id, ack.weight(ack.channels.len()));
        Some(self.failed(ticket, ack))
    }

    /// Whether only requests that wait for their answer have asked for a client's membership, so
    /// that their failure tells of its end.
    pub(crate) fn is_provisional(&self, key: &Key, connection: ConnectionId) -> bool {
        let clients = self.memberships.get(key);
        let membership = clients.and_then(|clients| clients.get(&connection));
        membership.is_some_and(|membership| membership.state == State::Provisional)
    }

    /// When [`PendingAcks::expire`] next has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.acks.next_deadline()
    }

    fn insert(&mut self, key: Key, connection: ConnectionId, state: State) {
        let membership = Membership {
            state,
            acks: VecDeque::new(),
        };
        let clients = self.memberships.entry(key).or_default();
        clients.insert(connection, membership);
    }

    /// All channels of an acknowledgement are live.
    fn succeed(&mut self, ticket: Ticket) -> Option<Answered> {
        let ack = self.acks.remove(ticket)?;
        self.clients
            .remove(ack.client.id, ack.weight(ack.channels.len()));
        let mut settled = Vec::new();
        for key in &ack.channels {
            self.release(key, ticket, ack.client.id, |membership| {
                if std::mem::replace(&mut membership.state, State::Settled) != State::Settled {
                    settled.push(key.clone());
                }
            });
        }
        Some(Answered {
            ack,
            memberships: settled,
        })
    }

    fn fail(&mut self, ticket: Ticket) -> Option<Answered> {
        let ack = self.acks.remove(ticket)?;
        self.clients
            .remove(ack.client.id, ack.weight(ack.channels.len()));
        Some(self.failed(ticket, ack))
    }

    /// An acknowledgement has failed: memberships that nobody else has asked for end with it.
    fn failed(&mut self, ticket: Ticket, ack: PendingAck) -> Answered {
        let mut ended = Vec::new();
        for key in &ack.channels {
            self.release(key, ticket, ack.client.id, |membership| {
                if membership.state == State::Provisional && membership.acks.is_empty() {
                    ended.push(key.clone());
                }
            });
        }
        Answered {
            ack,
            memberships: ended,
        }
    }

    /// An acknowledgement waits for a channel no more.
    fn release(
        &mut self,
        key: &Key,
        ticket: Ticket,
        connection: ConnectionId,
        release: impl FnOnce(&mut Membership),
    ) {
        let Some(clients) = self.memberships.get_mut(key) else {
            return;
        };
        let Some(membership) = clients.get_mut(&connection) else {
            return;
        };
        if let Ok(at) = membership.acks.binary_search(&ticket) {
            membership.acks.remove(at);
        }
        release(membership);
        if !membership.is_kept() {
            clients.swap_remove(&connection);
            if clients.is_empty() {
                self.memberships.remove(key);
            }
        }
    }
}

impl Membership {
    /// Whether there is something to remember of it.
    fn is_kept(&self) -> bool {
        self.state != State::Settled || !self.acks.is_empty()
    }
}

#[cfg(test)]
mod tests;
