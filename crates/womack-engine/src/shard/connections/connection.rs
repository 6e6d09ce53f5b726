//! A shard's record of one client.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use womack_ledger::{CLIENT_BYTES, Charge, Ledger, Limit, MEMBERSHIP_BYTES};
use womack_proto::{Channel, NamespaceId, Session};

use super::rate_limit::{Pace, Work};
use crate::{
    encoding::Encoding,
    limits::Limits,
    namespace::{self, Registry},
    shard::{
        clients::kind::Kind,
        delivery::{
            egress::Recipient,
            pending::{Fate, Room, Thinned},
            round::{Outbox, Taken},
        },
        topics::memberships::{Membership, Memberships},
    },
    sid::{ConnectionId, ConnectionRef},
};

/// A shard's record of one client. The cost of an idle client is mostly this; a test asserts its
/// size.
pub(crate) struct Connection {
    kind: Kind,
    /// What cannot be guessed of the session's id.
    secret: u64,
    outbox: Outbox,
    memberships: Memberships,
    /// Which of the server's endpoints the session was opened at.
    endpoint: u8,
    /// What it may still send.
    pace: Pace,
    /// The client itself, its memberships, and what it has sent of a packet.
    charge: Charge,
}

impl Connection {
    /// A client that has just come to an endpoint, and is charged to `ledger`. Nobody can guess its
    /// `secret`.
    pub(in crate::shard) fn new(kind: Kind, endpoint: u8, secret: u64, ledger: &Ledger) -> Self {
        Self {
            kind,
            secret,
            outbox: Outbox::new(),
            memberships: Memberships::default(),
            endpoint,
            pace: Pace::default(),
            charge: ledger.hold(CLIENT_BYTES),
        }
    }

    pub(in crate::shard) const fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(in crate::shard) const fn kind_mut(&mut self) -> &mut Kind {
        &mut self.kind
    }

    pub(in crate::shard) const fn secret(&self) -> u64 {
        self.secret
    }

    /// Names the connection, which is or was in the slot `id`.
    pub(in crate::shard) const fn named(&self, id: ConnectionId) -> ConnectionRef {
        ConnectionRef {
            id,
            secret: self.secret,
        }
    }

    /// Which of the server's endpoints the session was opened at.
    pub(in crate::shard) fn endpoint(&self) -> usize {
        usize::from(self.endpoint)
    }

    pub(in crate::shard) const fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    pub(in crate::shard) const fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// A membership of the client, by its number.
    pub(super) fn membership_mut(&mut self, number: u32) -> Option<&mut Membership> {
        self.memberships.get_mut(number)
    }

    /// Changes the memberships.
    pub(in crate::shard) fn change_memberships<R>(
        &mut self,
        change: impl FnOnce(&mut Memberships) -> R,
    ) -> R {
        let result = change(&mut self.memberships);
        self.settle_charge();
        result
    }

    /// Calls a method of the session, if that is what the client speaks. `None` if it is not.
    pub(in crate::shard) fn with_session<R>(
        &mut self,
        call: impl FnOnce(&mut Session) -> R,
    ) -> Option<R> {
        let result = call(self.kind.session_mut()?);
        self.settle_charge();
        Some(result)
    }

    /// Charges what the client takes now.
    fn settle_charge(&mut self) {
        let memberships = self.memberships.count() * MEMBERSHIP_BYTES;
        let unfinished = self.kind.session().map_or(0, Session::unfinished_bytes);
        self.charge.set(CLIENT_BYTES + memberships + unfinished);
    }

    /// The client as a round is written to it.
    pub(in crate::shard) const fn as_recipient(&mut self) -> Recipient<'_> {
        Recipient {
            outbox: &mut self.outbox,
            wire: self.kind.wire_mut(),
        }
    }

    /// Counts work for the client, at a time in milliseconds. False if it is too much.
    pub(super) fn take_work(&mut self, work: Work, limits: &Limits, millis: u32) -> bool {
        self.pace.take(work, limits, millis)
    }

    /// The deadline of this connection, if what waits for the client may wait for
    /// `max_queue_time`.
    pub(in crate::shard) fn deadline(&self, max_queue_time: Option<Duration>) -> Instant {
        let deadline = self.kind.deadline();
        let expiry = max_queue_time.and_then(|time| {
            // The limit is what is beyond, and time has grains.
            Some(self.oldest()? + time + Duration::from_millis(1))
        });
        expiry.map_or(deadline, |expiry| expiry.min(deadline))
    }

    /// Whether the session ends with one of the client's next polls.
    pub(in crate::shard) fn is_ending(&self) -> bool {
        let polling = self.kind.polling();
        polling.is_some_and(|polling| polling.ending().is_some())
    }

    /// Keeps bytes that the client has still to take. Whether they replace others.
    pub(in crate::shard) fn keep(
        &mut self,
        bytes: Bytes,
        fate: Fate,
        now: Instant,
        ledger: &Ledger,
    ) -> bool {
        match &self.kind {
            Kind::EventStream(stream) => stream.queue().keep(bytes, fate, now),
            _ => self.outbox.push(bytes, fate, now, ledger),
        }
    }

    /// How many bytes the client has still to take.
    pub(in crate::shard) fn pending_bytes(&self) -> usize {
        match &self.kind {
            Kind::EventStream(stream) => stream.queue().bytes(),
            _ => self.outbox.pending_bytes(),
        }
    }

    /// As [`Pending::thin`](crate::shard::delivery::pending::Pending::thin).
    pub(in crate::shard) fn thin(&mut self, room: &Room, now: Instant) -> (Thinned, Option<Limit>) {
        match &self.kind {
            Kind::EventStream(stream) => stream.queue().thin(room, now),
            _ => self.outbox.thin(room, now),
        }
    }

    /// Writes to the client's WebSocket what earlier rounds left over; `None` if it has none, or
    /// nothing was left.
    pub(in crate::shard) fn write_pending(
        &mut self,
        now: Instant,
    ) -> Option<Taken<io::Result<bool>>> {
        let wire = self.kind.wire_mut()?;
        self.outbox
            .take_pending(now, |pending| pending.write_to(wire))
    }

    /// Memory that the client holds beyond what an idle one takes: by reading slowly, by sending
    /// slowly, and by its memberships.
    pub(super) fn weight(&self) -> usize {
        let partial = self.kind.wire().map_or(0, |wire| wire.partial_bytes());
        self.pending_bytes() + partial + self.charge.bytes() - CLIENT_BYTES
    }

    /// Whether the client has taken nothing of what waits for it for `time`.
    pub(super) fn is_stalled(&self, time: Duration, now: Instant) -> bool {
        match &self.kind {
            // What a stream takes is not noted.
            Kind::EventStream(stream) => {
                let oldest = stream.queue().oldest();
                oldest.is_some_and(|oldest| now.saturating_duration_since(oldest) >= time)
            }
            _ => self.outbox.is_stalled(time, now),
        }
    }

    /// Since when the oldest message waits that the client has still to take.
    fn oldest(&self) -> Option<Instant> {
        match &self.kind {
            Kind::EventStream(stream) => stream.queue().oldest(),
            _ => self.outbox.oldest(),
        }
    }

    /// The kind and the outbox of a client that has gone.
    pub(in crate::shard) fn into_rest(self) -> (Kind, Outbox) {
        (self.kind, self.outbox)
    }
}

/// The channels of a client in one namespace, as a handler may see them.
pub(crate) struct ChannelsOf<'a> {
    pub(crate) memberships: Option<&'a Memberships>,
    pub(crate) namespace: NamespaceId,
    /// Those that the client's topics may have.
    pub(crate) encodings: &'static [Encoding],
    pub(crate) registry: &'a Registry,
}

impl namespace::Memberships for ChannelsOf<'_> {
    fn count(&self) -> usize {
        let Some(memberships) = self.memberships else {
            return 0;
        };
        memberships
            .iter()
            .filter(|found| found.topic.namespace == self.namespace)
            .count()
    }

    fn contains(&self, channel: &Channel) -> bool {
        let Some(memberships) = self.memberships else {
            return false;
        };
        let channel = self
            .registry
            .redis_channel(self.namespace, channel.as_str());
        let found = memberships.find_any(&channel, self.namespace, self.encodings);
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_costs_what_is_written_down() {
        assert!(
            size_of::<Connection>() <= 208,
            "{}",
            size_of::<Connection>()
        );
    }
}
