//! A whole router, driven without a connection and without a clock.

use bytes::Bytes;
use womack_ledger::{Ledger, Memory};
use womack_proto::subscriber::{Epoch, Loss, LossScope, Message};

use super::*;
use crate::{
    config::Config,
    context::ContextParts,
    encoding::Topic,
    metrics::Metrics,
    namespace::{Channels, Entry, Registry, SlowClient},
    shard::{Subscriber, WritableChannels},
    sid::{ConnectionId, SidSource},
};

const SHARD: ShardId = ShardId(0);
const TOPIC: Topic = Topic::modern(0);
const KEY: &str = "key";

/// A router with one shard, and what it has written.
struct Scene {
    router: Router,
    channels: WritableChannels,
    out: Output,
    now: Now,
}

impl Scene {
    fn new() -> Self {
        Self::with_limit(0)
    }

    /// One whose namespace may have so many messages a second.
    fn with_limit(limit: u32) -> Self {
        let registry = Registry::new(vec![Entry {
            path: "/".to_owned(),
            key: KEY.to_owned(),
            coalesce: Duration::ZERO,
            slow_client: SlowClient::Close,
            max_messages_per_second: limit,
            presence: false,
            handler: Arc::new(Channels::default()),
        }]);
        let context = Context::new(ContextParts {
            config: Config {
                gap_notices: true,
                ..Config::default()
            },
            registry,
            endpoints: Vec::new(),
            metrics: Arc::new(Metrics::unread(1)),
            sids: SidSource::new().unwrap(),
            room: 10,
            memory: Memory::new(1),
            reports: None,
        });
        let channels = WritableChannels::new(Arc::default(), &Ledger::default());
        Self {
            router: Router::new(Arc::new(context.unwrap()), vec![channels.reader()]),
            channels,
            out: Output::default(),
            now: Now::read(),
        }
    }

    /// The shard's first client of a channel comes.
    fn wants(&mut self, name: &str) {
        let channel: Arc<str> = redis_name(name).into();
        let subscriber = Subscriber {
            connection: ConnectionId(1),
            membership: 0,
        };
        let joined = (self.channels).join(channel.clone(), TOPIC, subscriber, usize::MAX);
        assert!(joined.is_some());
        let marked = [(SHARD, channel)];
        self.router
            .reconcile(marked, self.now.instant, &mut self.out);
    }

    /// The shard's last client of a channel goes, and time passes until the channel is given up.
    fn gives_up(&mut self, name: &str) {
        let channel: Arc<str> = redis_name(name).into();
        self.channels.leave(&channel, TOPIC, 0);
        let marked = [(SHARD, channel)];
        self.router
            .reconcile(marked, self.now.instant, &mut self.out);
        self.now.instant += self.router.context.config.unsubscribe_grace;
        self.router.handle_timeout(self.now, &mut self.out);
        let given_up = self.out.requests.drain(..).any(|request| {
            let SubscriberRequest::GiveUp(given_up) = request else {
                return false;
            };
            given_up
                .iter()
                .any(|found| *found.channel == redis_name(name))
        });
        assert!(given_up, "{name}");
    }

    /// The requests for channels since the last call.
    fn requested(&mut self) -> Vec<(Arc<str>, Generation)> {
        let requests = self.out.requests.drain(..);
        let subscriptions = requests.flat_map(|request| match request {
            SubscriberRequest::Subscribe(subscriptions) => subscriptions,
            SubscriberRequest::GiveUp(given_up) => panic!("{given_up:?}"),
        });
        let named = subscriptions.map(|found| (found.channel, found.generation));
        named.collect()
    }

    fn happens(&mut self, event: Event) {
        self.router.handle_event(event, self.now, &mut self.out);
    }

    /// Redis confirms requests over the connection of this number.
    fn confirms(&mut self, connection: u32, requests: &[(Arc<str>, Generation)]) {
        self.happens(Event::Live {
            epoch: Epoch::new(connection),
            channels: requests.to_vec(),
        });
    }

    /// The connection of this number is lost.
    fn loses(&mut self, connection: u32) {
        self.happens(Event::Lost(Loss {
            scope: LossScope::Connection {
                epoch: Epoch::new(connection),
                statics: false,
            },
            since: self.now.instant,
            reason: String::new(),
        }));
    }

    fn publishes(&mut self, name: &str) {
        let name = redis_name(name);
        let (bytes, end) = (Bytes::from(format!("{name}1")), name.len());
        self.happens(Event::Message(Message::new(
            bytes,
            0..end,
            end..end + 1,
            false,
        )));
    }

    /// The commands for the shard since the last call, as words.
    fn told(&mut self) -> Vec<String> {
        let commands = self.out.commands.drain(..);
        let told = commands.map(|(_, command)| match command {
            ToShard::Live { channel, .. } => format!("live {channel}"),
            ToShard::Lost(..) => "lost".to_owned(),
            ToShard::Deliver(delivery) => format!("message {}", delivery.channel),
            ToShard::Gap(gap) => {
                let mut names: Vec<_> = gap.channels.iter().map(AsRef::as_ref).collect();
                names.sort_unstable();
                format!("gap {}", names.join(" "))
            }
            _ => "another command".to_owned(),
        });
        told.collect()
    }
}

fn redis_name(name: &str) -> String {
    format!("{KEY}:{name}")
}

#[test]
fn a_gap_is_told_when_its_last_channel_is_back_and_before_the_messages_that_follow() {
    let mut scene = Scene::new();
    scene.wants("a");
    scene.wants("b");
    let requested = scene.requested();
    scene.confirms(1, &requested);
    assert_eq!(scene.told(), ["live key:a", "live key:b"]);
    scene.publishes("a");
    assert_eq!(scene.told(), ["message key:a"]);
    scene.loses(1);
    assert_eq!(scene.told(), ["lost"]);
    let requested = scene.requested();
    let (first, second) = requested.split_at(1);
    scene.confirms(2, first);
    scene.publishes("a");
    assert_eq!(scene.told(), ["live key:a"]);
    scene.confirms(2, second);
    let told = ["live key:b", "gap key:a key:b", "message key:a"];
    assert_eq!(scene.told(), told);
}

#[test]
fn a_message_from_before_the_confirmation_of_its_channel_is_for_nobody() {
    let mut scene = Scene::new();
    scene.wants("a");
    let requested = scene.requested();
    scene.publishes("a");
    assert!(scene.told().is_empty());
    scene.confirms(1, &requested);
    scene.publishes("a");
    assert_eq!(scene.told(), ["live key:a", "message key:a"]);
}

#[test]
fn what_was_held_back_of_a_channel_is_not_for_those_who_come_when_it_was_given_up() {
    let mut scene = Scene::new();
    scene.wants("a");
    scene.wants("b");
    let requested = scene.requested();
    scene.confirms(1, &requested);
    scene.loses(1);
    let requested = scene.requested();
    let (first, second) = requested.split_at(1);
    scene.confirms(2, first);
    scene.publishes("a");
    scene.told();
    scene.gives_up("a");
    // What is published from here on reaches nobody.
    scene.wants("a");
    let requested = scene.requested();
    scene.confirms(2, &requested);
    scene.publishes("a");
    assert_eq!(scene.told(), ["live key:a", "message key:a"]);
    scene.confirms(2, second);
    assert_eq!(scene.told(), ["live key:b", "gap key:b"]);
}

/// A router with the live channels `a` and `b` of a namespace that may have three messages a
/// second.
fn limited() -> Scene {
    let mut scene = Scene::with_limit(3);
    scene.wants("a");
    scene.wants("b");
    let requested = scene.requested();
    scene.confirms(1, &requested);
    scene.told();
    scene
}

#[test]
fn messages_over_the_limit_of_a_namespace_are_told_as_one_gap_before_those_that_follow() {
    let mut scene = limited();
    (0..5).for_each(|_| scene.publishes("a"));
    assert_eq!(scene.told(), ["message key:a"; 3]);
    scene.publishes("b");
    assert_eq!(scene.told(), ["message key:b"]);
    scene.now.instant += Duration::from_secs(1);
    assert_eq!(scene.router.next_deadline(), Some(scene.now.instant));
    let (now, out) = (scene.now, &mut scene.out);
    scene.router.handle_timeout(now, out);
    assert_eq!(scene.told(), ["gap key:a"]);
    assert_eq!(scene.router.next_deadline(), None);
    // Of the two channels, `a` has what `b` had left of the second before.
    (0..5).for_each(|_| scene.publishes("a"));
    assert_eq!(scene.told(), ["message key:a"; 2]);
    scene.now.instant += Duration::from_secs(2);
    scene.publishes("a");
    assert_eq!(scene.told(), ["gap key:a", "message key:a"]);
}

#[test]
fn the_gap_of_dropped_messages_has_all_that_may_have_been_published_since_the_last_good_answer() {
    let mut scene = limited();
    let answered = scene.now.instant;
    scene.happens(Event::ReceivedTo {
        epoch: Epoch::new(1),
        at: answered,
    });
    scene.now.instant += Duration::from_millis(300);
    (0..4).for_each(|_| scene.publishes("a"));
    scene.happens(Event::ReceivedTo {
        epoch: Epoch::new(1),
        at: scene.now.instant,
    });
    scene.told();
    scene.now.instant += Duration::from_secs(1);
    scene.publishes("a");
    let (_, command) = scene.out.commands.swap_remove(0);
    let ToShard::Gap(gap) = command else {
        panic!("the gap comes first");
    };
    assert_eq!(gap.to - gap.from, 1301, "rounded up");
}

#[test]
fn messages_that_waited_for_the_end_of_a_gap_are_delivered_whatever_the_limit() {
    let mut scene = limited();
    scene.loses(1);
    let requested = scene.requested();
    let (first, second) = requested.split_at(1);
    scene.confirms(2, first);
    (0..5).for_each(|_| scene.publishes("a"));
    scene.told();
    scene.confirms(2, second);
    let messages = scene.told();
    assert_eq!(
        messages[1..],
        [["gap key:a key:b"; 1].as_slice(), &["message key:a"; 5]].concat()
    );
}
