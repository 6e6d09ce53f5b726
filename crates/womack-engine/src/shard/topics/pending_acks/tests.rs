use std::collections::HashSet;

use womack_proto::NamespaceId;

use super::*;
use crate::{
    encoding::Encoding,
    namespace::join::{JoinAnswer, JoinReply, JoinTexts},
    sid::ConnectionRef,
};

const TOPIC: Topic = Topic {
    namespace: NamespaceId(0),
    encoding: Encoding::Modern,
};
const TIMEOUT: Duration = Duration::from_secs(5);
const CLIENT: ConnectionId = ConnectionId(1);

fn key(name: &str) -> Key {
    (name.into(), TOPIC)
}

/// Pending acknowledgements of one client, and the channels that are live.
struct Scene {
    pending: PendingAcks,
    live: HashSet<&'static str>,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self {
            pending: PendingAcks::new(TIMEOUT, Ledger::default()),
            live: HashSet::new(),
            now: Instant::now(),
        }
    }

    /// A request with an acknowledgement; a name that begins with `+` is joined by it.
    fn request(&mut self, ack: u64, names: &[&str]) {
        let client = ConnectionRef {
            id: CLIENT,
            secret: 2,
        };
        let answer = JoinAnswer {
            reply: JoinReply::Ack(ack),
            texts: JoinTexts::Stock,
        };
        let waiting = PendingAck::new(client, NamespaceId(0), answer);
        let channels = names.iter().map(|name| match name.strip_prefix('+') {
            Some(name) => (key(name), true),
            None => (key(name), false),
        });
        let live = &self.live;
        let is_live = |(name, _): &Key| live.contains(&**name);
        let channels = channels.collect();
        self.pending.wait(waiting, channels, is_live, self.now);
    }

    fn goes_live(&mut self, name: &'static str) -> (Vec<(u64, Vec<String>)>, Vec<ConnectionId>) {
        self.live.insert(name);
        let live = &self.live;
        let is_live = |(name, _): &Key| live.contains(&**name);
        let (answered, settled) = self.pending.live(&key(name), is_live);
        (told(answered), settled)
    }

    fn leaves(&mut self, name: &str) -> (bool, Vec<(u64, Vec<String>)>) {
        let (settled, failed) = self.pending.left(&key(name), CLIENT);
        (settled, told(failed))
    }

    fn expires(&mut self) -> Vec<(u64, Vec<String>)> {
        self.now += TIMEOUT;
        let expired = std::iter::from_fn(|| self.pending.expire(self.now));
        told(expired.collect())
    }
}

fn told(answered: Vec<Answered>) -> Vec<(u64, Vec<String>)> {
    let name = |(name, _): &Key| name.to_string();
    let told = |found: &Answered| {
        let names = found.memberships.iter().map(name);
        let JoinReply::Ack(ack) = found.ack.answer.reply else {
            panic!("{found:?}");
        };
        (ack, names.collect())
    };
    answered.iter().map(told).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_acknowledgement_waits_for_its_last_channel() {
    let mut scene = Scene::new();
    scene.request(1, &["+a", "+b"]);
    scene.request(2, &["a"]);
    assert_eq!(scene.goes_live("a").0, [(2, names(&["a"]))]);
    assert_eq!(scene.goes_live("b").0, [(1, names(&["b"]))]);
    assert_eq!(scene.pending.acks.len(), 0);
    assert!(scene.pending.memberships.is_empty());
}

#[test]
fn a_loss_between_two_channels_is_waited_out() {
    let mut scene = Scene::new();
    scene.request(1, &["+a", "+b"]);
    assert!(scene.goes_live("a").0.is_empty());
    scene.pending.lost();
    scene.live.clear();
    assert!(scene.goes_live("b").0.is_empty());
    assert_eq!(scene.goes_live("a").0, [(1, names(&["a", "b"]))]);
}

#[test]
fn a_request_that_fails_ends_only_what_no_other_has_asked_for() {
    let mut scene = Scene::new();
    scene.request(1, &["+a", "+b"]);
    scene.now += TIMEOUT / 2;
    scene.request(2, &["a"]);
    scene.now -= TIMEOUT / 2;
    assert_eq!(scene.expires(), [(1, names(&["b"]))]);
    assert_eq!(scene.leaves("b"), (false, Vec::new()));
    assert_eq!(scene.goes_live("a").0, [(2, names(&["a"]))]);
    assert_eq!(scene.leaves("a"), (true, Vec::new()));
}

#[test]
fn a_request_that_fails_leaves_what_was_joined_without_an_answer() {
    let mut scene = Scene::new();
    scene.request(1, &["+a"]);
    assert!(!scene.pending.joined(&key("a"), CLIENT, false, false));
    assert_eq!(scene.expires(), [(1, names(&[]))]);
    assert_eq!(scene.goes_live("a"), (Vec::new(), vec![CLIENT]));
    assert!(scene.pending.memberships.is_empty());
}

#[test]
fn leaving_a_channel_fails_the_requests_that_speak_of_it() {
    let mut scene = Scene::new();
    scene.request(1, &["+a", "+b"]);
    scene.goes_live("a");
    assert_eq!(scene.leaves("a"), (false, vec![(1, names(&["b"]))]));
    scene.leaves("b");
    scene.request(2, &["+a"]);
    scene.live.clear();
    scene.pending.lost();
    assert_eq!(scene.goes_live("a").0, [(2, names(&["a"]))]);
    assert!(scene.pending.memberships.is_empty());
}

#[test]
fn a_client_that_leaves_before_its_channel_is_live_was_never_there() {
    let mut scene = Scene::new();
    assert!(!scene.pending.joined(&key("a"), CLIENT, true, false));
    assert!(!scene.pending.is_settled(&key("a"), CLIENT));
    assert_eq!(scene.leaves("a"), (false, Vec::new()));
    assert!(scene.pending.joined(&key("b"), CLIENT, true, true));
    assert!(scene.pending.is_settled(&key("b"), CLIENT));
    assert_eq!(scene.leaves("b"), (true, Vec::new()));
    assert!(scene.pending.told_live(&key("c"), CLIENT, true));
    assert!(!scene.pending.told_live(&key("c"), CLIENT, false));
}

#[test]
fn asking_again_for_what_another_request_waits_for_settles_it_when_it_is_live() {
    let mut scene = Scene::new();
    scene.request(1, &["+a", "+b"]);
    scene.goes_live("a");
    assert!(scene.pending.joined(&key("a"), CLIENT, false, true));
    assert!(!scene.pending.joined(&key("a"), CLIENT, false, true));
    assert_eq!(scene.expires(), [(1, names(&["b"]))]);
    assert_eq!(scene.leaves("a"), (true, Vec::new()));
}
