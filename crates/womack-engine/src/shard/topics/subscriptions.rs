//! Memberships of clients in channels, and requests that wait for Redis.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use womack_ledger::{Ledger, ShardId};
use womack_proto::{NamespaceId, subscriber::Epoch};

use super::{
    channels::{Channels, ChannelsReader},
    gaps::Gaps,
    memberships::{Membership, Memberships},
    subscribers::Subscriber,
};
use crate::{
    channel_count::ChannelCount,
    command::{Gap, GapCause, Interest, LossNumber, LostScope},
    dirty_channels::DirtyChannels,
    encoding::{Encoding, Topic},
    shard::{
        delivery::slices::Fanouts,
        topics::pending_acks::{AckLimits, Answered, Key, PendingAck, PendingAcks},
    },
    sid::ConnectionId,
};

mod slices;

pub(in crate::shard) use self::slices::Slice;

/// The places of a shard's clients in topics, the acknowledgements that wait for Redis to confirm
/// them, and the messages that go out to many of them in slices.
pub(in crate::shard) struct Subscriptions {
    shard: ShardId,
    channels: Channels,
    acks: PendingAcks,
    gaps: Gaps,
    slices: Fanouts,
    /// Takes channels that the router has to look at.
    dirty: Arc<DirtyChannels>,
}

/// The channel that a client joins.
pub(in crate::shard) struct Target {
    /// Its name at Redis.
    pub(in crate::shard) channel: Arc<str>,
    pub(in crate::shard) namespace: NamespaceId,
    /// How its messages are written, if the client is not in it yet.
    pub(in crate::shard) encoding: Encoding,
    /// How they may be written for the client.
    pub(in crate::shard) encodings: &'static [Encoding],
    /// How many channels the client may be in.
    pub(in crate::shard) max_memberships: usize,
    /// How many channels all shards may have.
    pub(in crate::shard) max_channels: usize,
}

/// Why a client does not join a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::shard) enum NotJoined {
    /// It is about to go, or has gone.
    Leaving,
    /// It is in as many as it may.
    TooManyMemberships,
    /// The node has as many as it may, and this would be another.
    TooManyChannels,
}

/// Everything that a shard shares with others and its subscriptions need.
pub(in crate::shard) struct SharedParts {
    /// Takes channels that the router has to look at.
    pub(in crate::shard) dirty: Arc<DirtyChannels>,
    /// Counts the channels of all shards.
    pub(in crate::shard) count: Arc<ChannelCount>,
    /// Charged what waits for Redis.
    pub(in crate::shard) ledger: Ledger,
}

/// The outcome of a join.
pub(in crate::shard) struct Join {
    pub(in crate::shard) key: Key,
    /// The client was not in the channel.
    pub(in crate::shard) is_new: bool,
    /// Messages that are published from now on arrive.
    pub(in crate::shard) is_live: bool,
}

/// A membership that has ended.
pub(in crate::shard) struct Ended {
    /// Whether it was settled.
    pub(in crate::shard) was_settled: bool,
    /// Acknowledgements that fail for it.
    pub(in crate::shard) failed: Vec<Answered>,
    /// The subscriber that has its place now.
    pub(in crate::shard) moved: Option<Moved>,
}

/// A subscriber that has another place in its topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::shard) struct Moved {
    pub(in crate::shard) subscriber: Subscriber,
    pub(in crate::shard) place: u32,
}

impl Subscriptions {
    /// Nobody is in a channel yet. Acknowledgements wait up to `timeout`; they and channels are
    /// charged to `ledger`.
    pub(in crate::shard) fn new(
        shard: ShardId,
        shared: SharedParts,
        timeout: Duration,
        tells_gaps: bool,
    ) -> Self {
        let SharedParts {
            dirty,
            count,
            ledger,
        } = shared;
        Self {
            shard,
            channels: Channels::new(count, &ledger),
            acks: PendingAcks::new(timeout, ledger),
            gaps: Gaps::new(tells_gaps),
            slices: Fanouts::default(),
            dirty,
        }
    }

    /// The reading half of the map of channels.
    pub(in crate::shard) fn reader(&self) -> ChannelsReader {
        self.channels.reader()
    }

    /// Puts a client into a channel. One that is in it stays there as it came, whatever dialect
    /// it speaks now.
    ///
    /// # Errors
    /// The client, or the node, has as many channels as it may.
    pub(in crate::shard) fn join(
        &mut self,
        id: ConnectionId,
        memberships: &mut Memberships,
        target: Target,
    ) -> Result<Join, NotJoined> {
        let Target {
            channel, namespace, ..
        } = target;
        let known = memberships.find_any(&channel, namespace, target.encodings);
        if let Some((_, topic)) = known {
            let is_live = self.channels.is_live(&channel, topic);
            return Ok(Join {
                key: (channel, topic),
                is_new: false,
                is_live,
            });
        }
        let membership = memberships.next();
        if membership as usize >= target.max_memberships {
            return Err(NotJoined::TooManyMemberships);
        }
        let topic = Topic {
            namespace,
            encoding: target.encoding,
        };
        let subscriber = Subscriber {
            connection: id,
            membership,
        };
        let joined = self
            .channels
            .join(channel, topic, subscriber, target.max_channels)
            .ok_or(NotJoined::TooManyChannels)?;
        let key = (joined.channel.clone(), topic);
        self.gaps.joined(id, &key);
        memberships.push(Membership {
            channel: joined.channel.clone(),
            topic,
            place: joined.place,
        });
        if !self.slices.is_empty() {
            self.slices.joined(&joined.channel, topic, id);
        }
        if joined.first {
            self.dirty.mark(self.shard, joined.channel);
        }
        Ok(Join {
            key,
            is_new: true,
            is_live: joined.live,
        })
    }

    /// Takes a client out of a channel of a namespace; `None` if it is not in it.
    pub(in crate::shard) fn leave(
        &mut self,
        id: ConnectionId,
        memberships: &mut Memberships,
        channel: &Arc<str>,
        namespace: NamespaceId,
        encodings: &[Encoding],
    ) -> Option<Ended> {
        let (number, _) = memberships.find_any(channel, namespace, encodings)?;
        let (membership, moved) = memberships.remove(number);
        if let Some(moved) = moved {
            self.channels
                .set_membership(&moved.channel, moved.topic, moved.place, number);
        }
        Some(self.end(id, &membership))
    }

    /// Ends a membership of a client, which does not know of it any more.
    pub(in crate::shard) fn end(&mut self, id: ConnectionId, membership: &Membership) -> Ended {
        let &Membership {
            ref channel,
            topic,
            place,
        } = membership;
        let key = (channel.clone(), topic);
        let (was_settled, failed) = self.acks.left(&key, id);
        self.gaps.left(id, &key);
        let left = self.channels.leave(channel, topic, place);
        if !self.slices.is_empty() {
            self.slices.left(channel, topic, id, left.last);
        }
        if left.last {
            self.dirty.mark(self.shard, channel.clone());
        }
        Ended {
            was_settled,
            failed,
            moved: left.moved.map(|subscriber| Moved { subscriber, place }),
        }
    }

    /// A client has joined without waiting for an answer. True if the membership is settled by it.
    pub(in crate::shard) fn settle(&mut self, id: ConnectionId, join: &Join) -> bool {
        self.acks.joined(&join.key, id, join.is_new, join.is_live)
    }

    /// A client has been told that it is live in a channel. True if the membership is settled by
    /// it.
    pub(in crate::shard) fn told_live(&mut self, id: ConnectionId, join: &Join) -> bool {
        self.acks.told_live(&join.key, id, join.is_new)
    }

    /// Keeps an acknowledgement until all channels of `joins` are live.
    pub(in crate::shard) fn wait(&mut self, ack: PendingAck, joins: Vec<Join>, now: Instant) {
        let joins = joins.into_iter().map(|join| (join.key, join.is_new));
        let channels = &self.channels;
        let is_live = |(channel, topic): &Key| channels.is_live(channel, *topic);
        self.acks.wait(ack, joins.collect(), is_live, now);
    }

    /// Whether an acknowledgement of so many channels may wait beside the others.
    pub(in crate::shard) fn may_wait(
        &self,
        ack: &PendingAck,
        channels: usize,
        limits: AckLimits,
    ) -> bool {
        self.acks.has_room(ack, channels, limits)
    }

    /// Takes back the acknowledgement that was just kept: there are too many.
    pub(in crate::shard) fn fail_last(&mut self) -> Option<Answered> {
        self.acks.fail_last()
    }

    /// The next acknowledgement that has waited too long, if there is one.
    pub(in crate::shard) fn expire(&mut self, now: Instant) -> Option<Answered> {
        self.acks.expire(now)
    }

    /// When [`Subscriptions::expire`] next has something to do.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        self.acks.next_deadline()
    }

    /// Redis has confirmed `channel` over a connection, for an interest. Returns the
    /// acknowledgements that waited for nothing else, and the clients whose membership is settled
    /// by that alone.
    pub(in crate::shard) fn live(
        &mut self,
        channel: &Arc<str>,
        interest: Interest,
        epoch: Epoch,
    ) -> (Vec<Answered>, Vec<ConnectionId>) {
        if !self.channels.set_live(channel, interest, epoch) {
            return Default::default();
        }
        let channels = &self.channels;
        let is_live = |(channel, topic): &Key| channels.is_live(channel, *topic);
        self.acks.live(&(channel.clone(), interest.topic), is_live)
    }

    /// The clients of an interest, if it is still there.
    pub(in crate::shard) fn interested(
        &self,
        channel: &str,
        interest: Interest,
    ) -> Vec<ConnectionId> {
        self.channels.members(channel, |found| found == interest)
    }

    /// Whether only requests that wait for their answer have asked for a client's membership.
    pub(in crate::shard) fn is_provisional(&self, key: &Key, id: ConnectionId) -> bool {
        self.acks.is_provisional(key, id)
    }

    /// Channels bring nothing until Redis has confirmed them again.
    pub(in crate::shard) fn lost(&mut self, loss: Option<LossNumber>, scope: &LostScope) {
        match scope {
            LostScope::Connection(epoch) => self.channels.lost_connection(*epoch),
            LostScope::Channels(channels) => {
                for channel in channels {
                    self.channels.set_lost(channel);
                }
            }
        }
        self.acks.lost();
        if let Some(loss) = loss {
            self.gaps.began(loss);
        }
    }

    /// Whether the back end has heard of a client's membership.
    pub(in crate::shard) fn is_settled(&self, id: ConnectionId, membership: &Membership) -> bool {
        // A clone of the name costs more than the look.
        self.acks.is_empty()
            || self
                .acks
                .is_settled(&(membership.channel.clone(), membership.topic), id)
    }

    /// The clients in a channel of a namespace.
    pub(in crate::shard) fn members(
        &self,
        channel: &str,
        namespace: NamespaceId,
    ) -> Vec<ConnectionId> {
        self.channels
            .members(channel, |found| found.topic.namespace == namespace)
    }

    /// A gap is over; clients are to be told.
    pub(in crate::shard) fn gap_ended(&mut self, gap: Arc<Gap>) {
        self.gaps.ended(gap);
    }

    /// Whether clients are to be told of a gap.
    pub(in crate::shard) fn has_gaps_to_tell(&self) -> bool {
        self.gaps.has_more()
    }

    /// The gap of which clients are to be told now, and the slots of those whose turn it is, in a
    /// shard that has `slots`. After the last, [`Subscriptions::gap_told`] is to be called.
    pub(in crate::shard) fn next_gap(&mut self, slots: usize) -> Option<(Arc<Gap>, Range<usize>)> {
        self.gaps.next(slots)
    }

    /// Everybody was told of a gap.
    pub(in crate::shard) fn gap_told(&mut self, gap: &Gap) {
        self.gaps.told(gap);
    }

    /// The memberships of a client by which it may have missed something in a gap.
    pub(in crate::shard) fn missed<'a>(
        &'a self,
        id: ConnectionId,
        memberships: &'a Memberships,
        gap: &'a Gap,
    ) -> impl Iterator<Item = &'a Membership> {
        memberships.iter().filter(move |membership| {
            let is_concerned = gap.channels.contains(&*membership.channel);
            is_concerned
                && match gap.cause {
                    GapCause::Loss { number, .. } => {
                        let key = (membership.channel.clone(), membership.topic);
                        !self.gaps.is_late(id, &key, number)
                    }
                    GapCause::RateLimit(namespace) => membership.topic.namespace == namespace,
                }
        })
    }
}

#[cfg(test)]
mod tests;
