//! Messages for many, a slice of their receivers at a time.
//!
//! A topic with more subscribers than a slice has holds nobody up: what is published there goes
//! out in passes, each through all who were there when it began, and between two slices others
//! have their turn. Messages that come during a pass wait for the next one and go out together,
//! so none overtakes another. Until there is none left the topic's list is kept as it is: whoever
//! leaves leaves a gap, and whoever comes stands behind the end of the pass. Who comes while
//! messages wait was not there when they were published, and gets none of them.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{command::Note, encoding::Topic, sid::ConnectionId};

/// Bytes of messages that go out in one pass, but for a message that alone has more.
const PASS_BYTES: usize = 1 << 20;
/// Messages that wait for a pass before no more are taken from other threads.
const MOST_WAITING: usize = 4096;
/// The same in bytes.
const MOST_WAITING_BYTES: usize = 16 << 20;

/// A message for many.
#[derive(Clone, Debug)]
pub(in crate::shard) struct Message {
    pub(in crate::shard) bytes: Bytes,
    pub(in crate::shard) note: Option<Arc<Note>>,
    /// Connections that must not get it.
    pub(in crate::shard) excepted: SmallVec<[ConnectionId; 4]>,
    pub(in crate::shard) received: Instant,
}

/// The topics of a shard that are published to in slices.
#[derive(Default)]
pub(in crate::shard) struct Fanouts {
    /// In the order of their turns.
    topics: VecDeque<Fanout>,
    /// Messages that wait for a pass, and their bytes.
    waiting: Waiting,
    /// How many passes there were: each begins elsewhere.
    passes: usize,
}

#[derive(Default)]
struct Waiting {
    messages: usize,
    bytes: usize,
}

/// One topic that is published to in slices.
pub(in crate::shard) struct Fanout {
    pub(in crate::shard) channel: Arc<str>,
    pub(in crate::shard) topic: Topic,
    pass: Pass,
    waiting: VecDeque<Message>,
    /// Connections that came when so many of those that wait were there.
    late: HashMap<ConnectionId, usize>,
}

/// Messages on their way through the subscribers of a topic.
#[derive(Default)]
struct Pass {
    messages: Vec<Message>,
    /// How many of them a connection does not get, if it came late.
    skips: HashMap<ConnectionId, usize>,
    start: usize,
    done: usize,
    /// Places in the topic's list that it goes through.
    places: usize,
}

impl Fanouts {
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether so much waits that nothing more should be taken from other threads.
    pub(in crate::shard) fn is_full(&self) -> bool {
        self.waiting.messages > MOST_WAITING || self.waiting.bytes > MOST_WAITING_BYTES
    }

    /// Adds a message for the subscribers of a topic.
    pub(in crate::shard) fn push(&mut self, channel: &Arc<str>, topic: Topic, message: Message) {
        self.waiting.messages += 1;
        self.waiting.bytes += message.bytes.len();
        if let Some(fanout) = self.find(channel, topic) {
            return fanout.waiting.push_back(message);
        }
        self.topics.push_back(Fanout {
            channel: channel.clone(),
            topic,
            pass: Pass::default(),
            waiting: VecDeque::from([message]),
            late: HashMap::new(),
        });
    }

    /// A connection has come to a topic.
    pub(in crate::shard) fn joined(
        &mut self,
        channel: &str,
        topic: Topic,
        connection: ConnectionId,
    ) {
        if let Some(fanout) = self.find(channel, topic)
            && !fanout.waiting.is_empty()
        {
            fanout.late.insert(connection, fanout.waiting.len());
        }
    }

    /// A connection has left a topic; `last` if nobody is left there.
    pub(in crate::shard) fn left(
        &mut self,
        channel: &str,
        topic: Topic,
        connection: ConnectionId,
        last: bool,
    ) {
        if last {
            let waiting = &mut self.waiting;
            self.topics.retain(|fanout| {
                let stays = fanout.topic != topic || *fanout.channel != *channel;
                if !stays {
                    waiting.without(&fanout.waiting);
                }
                stays
            });
        } else if let Some(fanout) = self.find(channel, topic) {
            fanout.late.remove(&connection);
        }
    }

    /// How many topics are published to in slices.
    pub(in crate::shard) fn len(&self) -> usize {
        self.topics.len()
    }

    /// The topic whose turn it is. It is to be put back, or given up.
    pub(in crate::shard) fn next(&mut self) -> Option<Fanout> {
        self.topics.pop_front()
    }

    pub(in crate::shard) fn put_back(&mut self, fanout: Fanout) {
        self.topics.push_back(fanout);
    }

    /// The topic is done, or nobody is left who would get what still waits.
    pub(in crate::shard) fn give_up(&mut self, fanout: &Fanout) {
        self.waiting.without(&fanout.waiting);
    }

    /// Begins a pass of `fanout` through the first `places` of its list.
    pub(in crate::shard) fn begin(&mut self, fanout: &mut Fanout, places: usize) {
        self.passes = self.passes.wrapping_add(1);
        let mut bytes = 0;
        let fits = |message: &&Message| {
            bytes += message.bytes.len();
            bytes <= PASS_BYTES
        };
        let count = fanout.waiting.iter().take_while(fits).count();
        let count = count.max(1).min(fanout.waiting.len());
        let skips = fanout
            .late
            .iter()
            .map(|(id, missed)| (*id, (*missed).min(count)));
        let messages: Vec<_> = fanout.waiting.drain(..count).collect();
        self.waiting.without(&messages);
        fanout.pass = Pass {
            skips: skips.collect(),
            messages,
            // The golden ratio, so that the beginnings of few passes are already far apart.
            start: ((self.passes as f64 * 0.618_034).fract() * places as f64) as usize,
            done: 0,
            places,
        };
        fanout.late.retain(|_, missed| {
            *missed = missed.saturating_sub(count);
            *missed > 0
        });
    }

    fn find(&mut self, channel: &str, topic: Topic) -> Option<&mut Fanout> {
        self.topics
            .iter_mut()
            .find(|fanout| fanout.topic == topic && *fanout.channel == *channel)
    }
}

impl Waiting {
    /// These do not wait any more.
    fn without<'a>(&mut self, messages: impl IntoIterator<Item = &'a Message>) {
        for message in messages {
            self.messages -= 1;
            self.bytes -= message.bytes.len();
        }
    }
}

impl Fanout {
    /// Whether the pass has come to its end.
    pub(in crate::shard) const fn is_through(&self) -> bool {
        self.pass.done >= self.pass.places
    }

    /// Whether messages wait for another pass.
    pub(in crate::shard) fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The messages of the pass.
    pub(in crate::shard) fn messages(&self) -> &[Message] {
        &self.pass.messages
    }

    /// The next places, `most` at most.
    pub(in crate::shard) fn slice(&mut self, most: usize) -> Range<usize> {
        let Pass {
            start,
            done,
            places,
            ..
        } = self.pass;
        let first = (start + done) % places.max(1);
        // A slice ends at the end of the list; the next one begins at its beginning.
        let end = (first + most.max(1)).min(first + places - done).min(places);
        self.pass.done += end - first;
        first..end
    }

    /// Which of the messages `connection` gets: these and all that follow.
    pub(in crate::shard) fn first_for(&self, connection: ConnectionId) -> usize {
        match self.pass.skips.is_empty() {
            true => 0,
            false => self.pass.skips.get(&connection).copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests;
