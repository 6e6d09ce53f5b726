use proptest::prelude::*;
use womack_ledger::{Ledger, Limit};
use womack_proto::NamespaceId;

use super::*;
use crate::{
    encoding::{Encoding, Topic},
    shard::delivery::limited_writer::LimitedWriter,
};

const ROOM: Room = Room {
    bytes: 12,
    messages: usize::MAX,
    time: None,
};

fn latest(channel: &str, key: Option<&str>, expires: Option<Instant>) -> Fate {
    Fate::Latest(Arc::new(Note {
        channel: channel.into(),
        topic: Topic {
            namespace: NamespaceId(0),
            encoding: Encoding::Modern,
        },
        key: key.map(Box::from),
        expires,
    }))
}

fn push(pending: &mut Pending, text: &'static str, fate: Fate) -> bool {
    pending.push(Bytes::from_static(text.as_bytes()), fate, Instant::now())
}

fn text(pending: &Pending) -> String {
    let bytes: Vec<_> = pending.chunks().collect();
    String::from_utf8(bytes.concat()).unwrap()
}

#[test]
fn bytes_come_out_in_order_across_short_writes() {
    let mut pending = Pending::new(&Ledger::default());
    push(&mut pending, "hello ", Fate::Kept);
    push(&mut pending, "world", Fate::Kept);
    let mut out = LimitedWriter::new(8);
    assert!(!pending.write_to(&mut out).unwrap());
    assert_eq!(pending.len(), 3);
    out.room = 8;
    assert!(pending.write_to(&mut out).unwrap());
    assert_eq!(out.taken, b"hello world");
}

#[test]
fn the_oldest_make_room_but_for_what_has_begun() {
    let mut pending = Pending::new(&Ledger::default());
    for text in ["aaaa", "bbbb", "cccc", "dddd"] {
        push(&mut pending, text, Fate::Oldest);
    }
    pending.write_to(&mut LimitedWriter::new(1)).unwrap();
    push(&mut pending, "!", Fate::Begun);
    let (thinned, passed) = pending.thin(&ROOM, Instant::now());
    assert_eq!((thinned.oldest, passed), (1, None));
    assert_eq!(text(&pending), "aaaccccdddd!");
    let few = Room {
        messages: 2,
        ..ROOM
    };
    pending.thin(&few, Instant::now());
    assert_eq!(text(&pending), "aaa!");
}

#[test]
fn what_may_not_go_passes_the_limit() {
    let mut pending = Pending::new(&Ledger::default());
    push(&mut pending, "aaaaaaaaaaaa", Fate::Kept);
    assert_eq!(pending.thin(&ROOM, Instant::now()).1, None);
    push(&mut pending, "b", Fate::Oldest);
    push(&mut pending, "c", Fate::Kept);
    let (thinned, passed) = pending.thin(&ROOM, Instant::now());
    assert_eq!(
        (thinned.oldest, passed),
        (1, Some(Limit::MaxClientQueueBytes))
    );
    let few = Room {
        bytes: 99,
        messages: 1,
        time: None,
    };
    let (_, passed) = pending.thin(&few, Instant::now());
    assert_eq!(passed, Some(Limit::MaxClientQueueMessages));
}

#[test]
fn time_ends_the_wait_of_messages_and_of_nothing_else() {
    let time = Some(Duration::from_secs(1));
    let (now, room) = (Instant::now(), Room { time, ..ROOM });
    let later = now + Duration::from_secs(2);
    let mut pending = Pending::new(&Ledger::default());
    pending.push("ack".into(), Fate::Begun, now);
    pending.push("old".into(), Fate::Oldest, now);
    pending.push("new".into(), Fate::Oldest, later);
    assert_eq!(pending.oldest(), Some(now));
    assert_eq!(pending.thin(&room, later).1, None);
    assert_eq!(
        (text(&pending).as_str(), pending.oldest()),
        ("acknew", Some(later))
    );
    pending.push("kept".into(), Fate::Kept, later);
    let end = later + Duration::from_secs(2);
    let limit = pending.thin(&room, end).1;
    assert_eq!(
        (limit, text(&pending).as_str()),
        (Some(Limit::MaxClientQueueSeconds), "ackkept")
    );
}

#[test]
fn a_key_has_one_place_in_each_channel() {
    let mut pending = Pending::new(&Ledger::default());
    let at = |channel, key| latest(channel, Some(key), None);
    for (text, channel, key, replaces) in [
        ("a1 ", "a", "1", false),
        ("b1 ", "b", "1", false),
        ("a2 ", "a", "2", false),
        ("A1! ", "a", "1", true),
        ("B1 ", "b", "1", true),
    ] {
        assert_eq!(
            push(&mut pending, text, at(channel, key)),
            replaces,
            "{text}"
        );
    }
    push(&mut pending, "x ", latest("a", None, None));
    push(&mut pending, "y ", latest("a", None, None));
    assert_eq!(text(&pending), "A1! B1 a2 x y ");
    assert_eq!(pending.len(), text(&pending).len());
    // What has begun stays as it is, and the next of its key has a place of its own.
    pending.write_to(&mut LimitedWriter::new(1)).unwrap();
    assert!(!push(&mut pending, "a1", at("a", "1")));
    assert_eq!(text(&pending), "1! B1 a2 x y a1");
    pending.advance(3);
    assert!(push(&mut pending, "b1 ", at("b", "1")));
    assert_eq!(text(&pending), "b1 a2 x y a1");
}

#[test]
fn what_is_too_old_goes_whatever_room_there_is() {
    let now = Instant::now();
    let after = |seconds| now + Duration::from_secs(seconds);
    let mut pending = Pending::new(&Ledger::default());
    push(&mut pending, "a", latest("a", None, Some(after(3))));
    push(&mut pending, "b", latest("a", Some("k"), Some(after(1))));
    push(&mut pending, "c", latest("a", None, Some(after(1))));
    assert_eq!(pending.expire(now), 0);
    assert_eq!(pending.expire(after(1)), 2);
    assert_eq!(text(&pending), "a");
    assert!(!push(&mut pending, "d", latest("a", Some("k"), None)));
    assert_eq!(
        (pending.expire(after(9)), text(&pending).as_str()),
        (1, "d")
    );
}

proptest! {
    /// Whatever is dropped or replaced, a client gets whole messages in their order.
    #[test]
    fn messages_stay_whole(operations in prop::collection::vec((0..5_u8, 0..30_u8), 0..200)) {
        let mut pending = Pending::new(&Ledger::default());
        let (mut out, mut number) = (LimitedWriter::new(0), 0_u32);
        let mut now = Instant::now();
        for (operation, value) in operations {
            match operation {
                0 => out.room = usize::from(value),
                1 => now += Duration::from_millis(u64::from(value)),
                2 => {
                    let room = Room {
                        bytes: 8 * usize::from(value),
                        messages: 20,
                        time: Some(Duration::from_millis(100)),
                    };
                    pending.thin(&room, now);
                }
                _ => {
                    let fate = match value % 4 {
                        0 => Fate::Oldest,
                        1 => Fate::Kept,
                        _ => latest("a", Some(["x", "y"][usize::from(value % 2)]), Some(now + Duration::from_millis(50))),
                    };
                    number += 1;
                    pending.push(format!("<{number:05}>").into(), fate, now);
                }
            }
            pending.write_to(&mut out).unwrap();
            prop_assert_eq!(pending.len(), pending.chunks().map(<[u8]>::len).sum::<usize>());
            prop_assert!(pending.keyed.len() <= pending.chunks.len());
        }
        out.room = usize::MAX;
        prop_assert!(pending.write_to(&mut out).unwrap());
        prop_assert!(pending.keyed.is_empty());
        let text = String::from_utf8(out.taken).unwrap();
        for message in text.split_inclusive('>') {
            prop_assert!(message.len() == 7 && message.starts_with('<'), "{}", text);
        }
    }
}
