//! Every short pattern there is, against a real Redis.

use redis::{Client, Connection};

use crate::support::{Broker, RealRedis};

/// Everything that has a meaning in patterns, and a little that has none.
const ALPHABET: &[u8] = b"*?[]^-\\ab";

/// Patterns that the alphabet does not reach.
const LONGER: [&[u8]; 12] = [
    b"[a-\xff]*",
    b"[\x80-a]*",
    b"[\xff-\x80]",
    b"[^\x80-\xff]",
    b"\xff?",
    b"[a-z-]",
    b"a*b*a*b",
    b"**a**",
    b"*[ab]*[^a]",
    b"[\\]a]b",
    b"[[]b",
    b"*\\*\\?",
];

#[test]
fn patterns_match_what_they_match_in_redis() {
    let Some(redis) = RealRedis::start() else {
        return;
    };
    let broker = Broker::start();
    let patterns: Vec<Vec<u8>> = words(4)
        .into_iter()
        .chain(LONGER.map(<[u8]>::to_vec))
        .collect();
    let theirs = matches(&format!("redis://{}", redis.address), &patterns);
    let ours = matches(&broker.url(), &patterns);
    for ((pattern, theirs), ours) in patterns.iter().zip(&theirs).zip(&ours) {
        assert_eq!(ours, theirs, "{}", pattern.escape_ascii());
    }
}

/// For each pattern, the names it matches.
fn matches(url: &str, patterns: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    let client = Client::open(url).unwrap();
    let mut subscriber = client.get_connection().unwrap();
    let mut subscriber = subscriber.as_pubsub();
    subscriber.subscribe(names()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut matches: Vec<Vec<Vec<u8>>> = Vec::new();
    for patterns in patterns.chunks(500) {
        matches.extend(ask(&mut connection, patterns));
    }
    matches.iter_mut().for_each(|names| names.sort());
    matches
}

fn ask(connection: &mut Connection, patterns: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    let mut pipeline = redis::pipe();
    for pattern in patterns {
        pipeline.cmd("PUBSUB").arg("CHANNELS").arg(pattern);
    }
    pipeline.query(connection).unwrap()
}

fn names() -> Vec<Vec<u8>> {
    let mut names = words(2);
    let more: [&[u8]; 8] = [
        b"\x80", b"\xff", b"\xffa", b"abab", b"aabb", b"bab", b"xay", b"a*?",
    ];
    names.extend(more.map(<[u8]>::to_vec));
    names
}

/// All words of up to `length` letters.
fn words(length: usize) -> Vec<Vec<u8>> {
    let mut words = vec![vec![]];
    let mut longest = words.clone();
    for _ in 0..length {
        longest = longest
            .iter()
            .flat_map(|word| {
                ALPHABET
                    .iter()
                    .map(|letter| [word, &[*letter][..]].concat())
            })
            .collect();
        words.extend_from_slice(&longest);
    }
    words
}
