use proptest::prelude::*;

use super::*;
use crate::{
    shard::topics::{channels::Channels, subscribers::Subscriber},
    sid::ConnectionId,
};

const TOPIC: Topic = Topic::modern(0);

/// A shard with one channel, and what its clients got.
struct Model {
    channel: Arc<str>,
    channels: Channels,
    fanouts: Fanouts,
    /// By connection, where it is in the channel.
    places: HashMap<ConnectionId, u32>,
    /// By connection, the first message that it is to get, and all that it got.
    got: HashMap<ConnectionId, (u64, Vec<u64>)>,
    published: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            channel: "c".into(),
            channels: Channels::new(Arc::default(), &womack_ledger::Ledger::default()),
            fanouts: Fanouts::default(),
            places: HashMap::new(),
            got: HashMap::new(),
            published: 0,
        }
    }

    fn join(&mut self, connection: ConnectionId) {
        if self.places.contains_key(&connection) {
            return;
        }
        let subscriber = Subscriber {
            connection,
            membership: 0,
        };
        let joined = (self.channels)
            .join(self.channel.clone(), TOPIC, subscriber, usize::MAX)
            .unwrap();
        self.fanouts.joined(&self.channel, TOPIC, connection);
        self.places.insert(connection, joined.place);
        self.got.insert(connection, (self.published, Vec::new()));
    }

    fn leave(&mut self, connection: ConnectionId) {
        let Some(place) = self.places.remove(&connection) else {
            return;
        };
        let left = self.channels.leave(&self.channel, TOPIC, place);
        if let Some(moved) = left.moved {
            self.places.insert(moved.connection, place);
        }
        self.fanouts
            .left(&self.channel, TOPIC, connection, left.last);
    }

    fn publish(&mut self) {
        if self.channels.hold(&self.channel, TOPIC).is_some() {
            let message = Message {
                bytes: Bytes::copy_from_slice(&self.published.to_ne_bytes()),
                note: None,
                excepted: SmallVec::new(),
                received: Instant::now(),
            };
            self.fanouts.push(&self.channel, TOPIC, message);
        }
        self.published += 1;
    }

    /// One slice, as the shard does it.
    fn step(&mut self, most: usize) {
        let Some(mut fanout) = self.fanouts.next() else {
            return;
        };
        if fanout.is_through() {
            let places = self.channels.hold(&self.channel, TOPIC).unwrap();
            self.fanouts.begin(&mut fanout, places);
        }
        let slice = fanout.slice(most);
        assert!(slice.len() <= most);
        let got = &mut self.got;
        self.channels.for_places(&self.channel, TOPIC, slice, |id| {
            for message in fanout.messages().iter().skip(fanout.first_for(id)) {
                let number = u64::from_ne_bytes(message.bytes[..].try_into().unwrap());
                got.get_mut(&id).unwrap().1.push(number);
            }
        });
        if fanout.is_through() {
            for (place, moved) in self.channels.close_gaps(&self.channel, TOPIC) {
                self.places.insert(moved.connection, place);
            }
            if !fanout.has_more() {
                self.fanouts.give_up(&fanout);
                return self.channels.release(&self.channel, TOPIC);
            }
        }
        self.fanouts.put_back(fanout);
    }

    /// Whoever is there got all that was published since it came; who has left, the first of that.
    fn check(&self, is_done: bool) {
        let waiting = self.fanouts.topics.iter().flat_map(|it| &it.waiting);
        let bytes: usize = waiting.clone().map(|message| message.bytes.len()).sum();
        let counted = &self.fanouts.waiting;
        assert_eq!((counted.messages, counted.bytes), (waiting.count(), bytes));
        for (connection, (first, got)) in &self.got {
            let expected: Vec<_> = (*first..self.published).collect();
            assert!(
                expected.starts_with(got),
                "{connection:?}: {got:?} of {expected:?}"
            );
            if is_done && self.places.contains_key(connection) {
                assert_eq!(*got, expected, "{connection:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn everybody_gets_what_is_theirs_in_order_and_once(
        operations in prop::collection::vec((0..6_u8, 0..24_u32), 0..300)
    ) {
        let mut model = Model::new();
        for (operation, value) in operations {
            match operation {
                0 | 1 => model.join(ConnectionId(value)),
                2 => model.leave(ConnectionId(value)),
                3 => model.publish(),
                _ => model.step(1 + value as usize % 5),
            }
            model.check(false);
        }
        while !model.fanouts.is_empty() {
            model.step(3);
        }
        model.check(true);
    }
}

#[test]
fn passes_begin_at_different_places_and_go_round() {
    let mut model = Model::new();
    (0..100).for_each(|id| model.join(ConnectionId(id)));
    let mut starts = Vec::new();
    for _ in 0..5 {
        model.publish();
        let mut fanout = model.fanouts.next().unwrap();
        model.fanouts.begin(&mut fanout, 100);
        let mut seen = Vec::new();
        while !fanout.is_through() {
            seen.extend(fanout.slice(30));
        }
        starts.push(seen[0]);
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..100));
    }
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len(), 5);
}

#[test]
fn what_waits_is_bounded_in_number_and_bytes() {
    let mut model = Model::new();
    model.join(ConnectionId(0));
    (0..=MOST_WAITING).for_each(|_| model.publish());
    assert!(model.fanouts.is_full());
    model.step(1);
    assert!(!model.fanouts.is_full(), "small ones go out together");
}
