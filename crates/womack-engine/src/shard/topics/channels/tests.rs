use super::*;

const TOPIC: Topic = Topic::modern(0);
const OTHER: Topic = Topic::modern(1);

const EPOCH: Epoch = Epoch::new(1);

fn join(channels: &Channels, topic: Topic, connection: u32) -> Joined {
    let subscriber = Subscriber {
        connection: ConnectionId(connection),
        membership: connection * 10,
    };
    channels
        .join("c".into(), topic, subscriber, usize::MAX)
        .unwrap()
}

fn subscribers(channels: &Channels, topic: Topic) -> Vec<u32> {
    let mut found = Vec::new();
    let places = 0..channels.read("c", topic, |all, _| all.len()).unwrap_or(0);
    channels.for_places("c", topic, places, |id| found.push(id.0));
    found
}

#[test]
fn last_subscriber_takes_the_place_of_the_one_that_leaves() {
    let channels = Channels::new(Arc::default(), &Ledger::default());
    assert!(join(&channels, TOPIC, 1).first);
    assert!(!join(&channels, TOPIC, 2).first);
    assert_eq!(join(&channels, TOPIC, 3).place, 2);
    let left = channels.leave("c", TOPIC, 0);
    assert_eq!(
        left.moved,
        Some(Subscriber {
            connection: ConnectionId(3),
            membership: 30
        })
    );
    assert!(!left.last);
    assert_eq!(subscribers(&channels, TOPIC), [3, 2]);
}

#[test]
fn places_that_are_held_stay_until_gaps_are_closed() {
    let channels = Channels::new(Arc::default(), &Ledger::default());
    for connection in 1..=5 {
        join(&channels, TOPIC, connection);
    }
    assert_eq!(channels.hold("c", TOPIC), Some(5));
    for place in [0, 3, 4] {
        let left = channels.leave("c", TOPIC, place);
        assert!(left.moved.is_none() && !left.last);
    }
    assert_eq!(join(&channels, TOPIC, 6).place, 5);
    assert_eq!(subscribers(&channels, TOPIC), [2, 3, 6]);
    assert_eq!(
        channels.members("c", |found| found.topic == TOPIC),
        [2, 3, 6].map(ConnectionId)
    );
    assert_eq!(channels.reader().loads("c")[0].load.subscribers, 3);
    let moved = channels.close_gaps("c", TOPIC);
    let to: Vec<_> = moved
        .iter()
        .map(|(place, who)| (*place, who.connection.0))
        .collect();
    assert_eq!(to, [(0, 6)]);
    assert_eq!(subscribers(&channels, TOPIC), [6, 2, 3]);
    channels.release("c", TOPIC);
    assert_eq!(
        channels
            .leave("c", TOPIC, 0)
            .moved
            .map(|who| who.connection.0),
        Some(3)
    );
    channels.hold("c", TOPIC);
    assert!(!channels.leave("c", TOPIC, 0).last && channels.leave("c", TOPIC, 1).last);
    assert!(channels.reader().interests("c").is_empty());
}

#[test]
fn topics_of_one_channel_are_apart_and_go_with_their_last_subscriber() {
    let channels = Channels::new(Arc::default(), &Ledger::default());
    let reader = channels.reader();
    join(&channels, TOPIC, 1);
    join(&channels, OTHER, 1);
    let interests = reader.interests("c");
    assert_eq!(interests.len(), 2);
    assert!(channels.set_live("c", interests[0], EPOCH));
    assert!(channels.is_live("c", TOPIC) && !channels.is_live("c", OTHER));
    assert_eq!(
        channels.members("c", |found| found.topic == OTHER),
        [ConnectionId(1)]
    );
    assert_eq!(channels.members("x", |_| true), []);
    assert!(channels.leave("c", TOPIC, 0).last);
    assert_eq!(reader.interests("c")[..], [interests[1]]);
    assert!(channels.leave("c", OTHER, 0).last);
    assert!(reader.interests("c").is_empty());
    assert!(
        !join(&channels, TOPIC, 1).live,
        "a topic that was gone is not live again"
    );
    assert!(
        !channels.set_live("c", interests[0], EPOCH),
        "and what was confirmed for it before is not confirmed for this one"
    );
    assert!(!channels.is_live("c", TOPIC));
}

#[test]
fn a_lost_connection_takes_what_was_confirmed_over_it() {
    let channels = Channels::new(Arc::default(), &Ledger::default());
    join(&channels, TOPIC, 1);
    join(&channels, OTHER, 1);
    let interests = channels.reader().interests("c");
    channels.set_live("c", interests[0], EPOCH);
    channels.set_live("c", interests[1], Epoch::new(2));
    channels.lost_connection(EPOCH);
    assert!(!channels.is_live("c", TOPIC) && channels.is_live("c", OTHER));
    assert!(!channels.reader().loads("c")[0].live);
    assert!(channels.set_live("c", interests[0], Epoch::new(2)));
    assert!(!channels.set_live("c", interests[0], Epoch::new(2)));
    channels.set_lost("c");
    assert!(!channels.is_live("c", TOPIC) && !channels.is_live("c", OTHER));
}

#[test]
fn readers_see_subscribers_and_messages() {
    let channels = Channels::new(Arc::default(), &Ledger::default());
    let reader = channels.reader();
    join(&channels, TOPIC, 1);
    join(&channels, TOPIC, 2);
    join(&channels, OTHER, 3);
    for topic in [TOPIC, TOPIC, OTHER] {
        channels.read("c", topic, |_, _| ());
    }
    let mut found = Vec::new();
    reader.for_each_channel(|channel, load| found.push((channel.clone(), load)));
    let load = Load {
        subscribers: 3,
        messages: 2,
    };
    assert_eq!(found, [("c".into(), load)]);
    let loads = reader.loads("c");
    assert_eq!(loads[0].load.messages, 2);
    assert_eq!((loads[1].topic, loads[1].load.subscribers), (OTHER, 1));
    assert!(reader.loads("x").is_empty());
}

#[test]
fn leaving_what_is_not_there_changes_nothing() {
    let channels = Channels::new(Arc::default(), &Ledger::default());
    join(&channels, TOPIC, 1);
    assert!(!channels.leave("x", TOPIC, 0).last);
    assert!(!channels.leave("c", OTHER, 0).last);
    assert!(!channels.leave("c", TOPIC, 5).last);
    assert_eq!(subscribers(&channels, TOPIC), [1]);
}
