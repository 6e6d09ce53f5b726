//! Messages on their way to the subscribers of a topic, all at once or in slices.

use std::{ops::Range, sync::Arc};

use womack_proto::NamespaceId;

use super::{Moved, Subscriptions};
use crate::{
    encoding::Topic,
    shard::{
        delivery::slices::{Fanout, Message},
        topics::subscribers::Subscriber,
    },
    sid::ConnectionId,
};

/// A part of a topic's subscribers, and the messages that they get.
pub(in crate::shard) struct Slice {
    fanout: Fanout,
    places: Range<usize>,
}

impl Subscriptions {
    /// Calls `read` with the subscribers of a topic that has got a message. `Some(None)` if there
    /// are more than `most`, or earlier messages go out in slices: so must this one. `None` if
    /// nobody is there.
    pub(in crate::shard) fn read<R>(
        &self,
        channel: &str,
        topic: Topic,
        most: usize,
        read: impl FnOnce(&[Subscriber]) -> R,
    ) -> Option<Option<R>> {
        self.channels.read(channel, topic, |subscribers, is_held| {
            let fits = !is_held && subscribers.len() <= most;
            fits.then(|| read(subscribers))
        })
    }

    /// Lets a message wait for its slices.
    pub(in crate::shard) fn push(&mut self, channel: &Arc<str>, topic: Topic, message: Message) {
        self.channels.hold(channel, topic);
        self.slices.push(channel, topic, message);
    }

    /// Whether messages wait for their turn, or for their next slice.
    pub(in crate::shard) fn has_slices(&self) -> bool {
        !self.slices.is_empty()
    }

    /// Whether so many wait that no more should be taken.
    pub(in crate::shard) fn has_enough_slices(&self) -> bool {
        self.slices.is_full()
    }

    /// How many topics are published to in slices.
    pub(in crate::shard) fn sliced_topics(&self) -> usize {
        self.slices.len()
    }

    /// A slice of the topic whose turn it is, of up to `most` subscribers. `None` if there is no
    /// such topic, or nothing is left for it. To be ended.
    pub(in crate::shard) fn begin_slice(&mut self, most: usize) -> Option<Slice> {
        let mut fanout = self.slices.next()?;
        if fanout.is_through() {
            let places = self.channels.hold(&fanout.channel, fanout.topic);
            let Some(places) = places.filter(|_| fanout.has_more()) else {
                self.slices.give_up(&fanout);
                return None;
            };
            self.slices.begin(&mut fanout, places);
        }
        let places = fanout.slice(most);
        Some(Slice { fanout, places })
    }

    /// Calls `each` for the subscribers of a slice, with the number of the first message that is
    /// for them: these are those and all that follow.
    pub(in crate::shard) fn for_slice(
        &self,
        slice: &Slice,
        mut each: impl FnMut(ConnectionId, usize),
    ) {
        let Slice { fanout, places } = slice;
        let (channel, topic) = (&fanout.channel, fanout.topic);
        self.channels
            .for_places(channel, topic, places.clone(), |id| {
                each(id, fanout.first_for(id));
            });
    }

    /// Ends a slice. Returns who has another place by it.
    pub(in crate::shard) fn end_slice(&mut self, slice: Slice) -> Vec<Moved> {
        let fanout = slice.fanout;
        if !fanout.is_through() {
            self.slices.put_back(fanout);
            return Vec::new();
        }
        let moved = self.channels.close_gaps(&fanout.channel, fanout.topic);
        if fanout.has_more() {
            self.slices.put_back(fanout);
        } else {
            self.channels.release(&fanout.channel, fanout.topic);
            self.slices.give_up(&fanout);
        }
        let moved = moved.into_iter();
        moved
            .map(|(place, subscriber)| Moved { subscriber, place })
            .collect()
    }
}

impl Slice {
    /// The messages that its subscribers get.
    pub(in crate::shard) fn messages(&self) -> &[Message] {
        self.fanout.messages()
    }

    pub(in crate::shard) const fn namespace(&self) -> NamespaceId {
        self.fanout.topic.namespace
    }

    /// Whether all subscribers have got the messages by it.
    pub(in crate::shard) const fn is_last(&self) -> bool {
        self.fanout.is_through()
    }
}
