use futures_util::FutureExt;

use super::*;
use crate::{
    namespace::join::{JoinAnswer, JoinReply, JoinTexts},
    sid::ConnectionRef,
};

const NAMESPACE: NamespaceId = NamespaceId(0);
const ENCODINGS: &[Encoding] = &[Encoding::Modern];
const TIMEOUT: Duration = Duration::from_secs(5);

/// The subscriptions of a shard, and what its clients know of theirs.
struct Scene {
    subscriptions: Subscriptions,
    dirty: Arc<DirtyChannels>,
    ledger: Ledger,
    memberships: [Memberships; 3],
}

impl Scene {
    fn new() -> Self {
        let dirty = Arc::new(DirtyChannels::new(1));
        let ledger = Ledger::default();
        let shared = SharedParts {
            dirty: dirty.clone(),
            count: Arc::default(),
            ledger: ledger.clone(),
        };
        Self {
            subscriptions: Subscriptions::new(ShardId(0), shared, TIMEOUT, true),
            dirty,
            ledger,
            memberships: Default::default(),
        }
    }

    fn join(&mut self, id: usize, channel: &str, max_memberships: usize) -> Option<Join> {
        self.try_join(id, channel, max_memberships, usize::MAX).ok()
    }

    fn try_join(
        &mut self,
        id: usize,
        channel: &str,
        max_memberships: usize,
        max_channels: usize,
    ) -> Result<Join, NotJoined> {
        let target = Target {
            channel: channel.into(),
            namespace: NAMESPACE,
            encoding: Encoding::Modern,
            encodings: ENCODINGS,
            max_memberships,
            max_channels,
        };
        let memberships = &mut self.memberships[id];
        self.subscriptions
            .join(ConnectionId::at(id), memberships, target)
    }

    fn leave(&mut self, id: usize, channel: &str) -> Option<Ended> {
        let (memberships, channel) = (&mut self.memberships[id], channel.into());
        let id = ConnectionId::at(id);
        self.subscriptions
            .leave(id, memberships, &channel, NAMESPACE, ENCODINGS)
    }

    /// The channels that the router has to look at.
    fn marked(&self) -> Vec<String> {
        let mut batch = Vec::new();
        self.dirty.take(&mut batch, 99).now_or_never();
        let channels = batch.iter().map(|(_, channel)| channel.to_string());
        channels.collect()
    }
}

#[test]
fn only_the_first_and_the_last_subscriber_concern_the_router() {
    let mut scene = Scene::new();
    assert!(scene.join(0, "a", 9).is_some_and(|join| join.is_new));
    assert_eq!(scene.marked(), ["a"]);
    assert!(scene.join(1, "a", 9).is_some_and(|join| join.is_new));
    assert!(scene.join(1, "a", 9).is_some_and(|join| !join.is_new));
    let ended = scene.leave(0, "a").unwrap();
    let moved = ended.moved.unwrap();
    assert_eq!(
        (moved.subscriber.connection, moved.place),
        (ConnectionId(1), 0)
    );
    assert!(scene.marked().is_empty());
    let membership = scene.memberships[1].get_mut(moved.subscriber.membership);
    membership.unwrap().place = moved.place;
    assert!(scene.leave(1, "a").is_some() && scene.leave(1, "a").is_none());
    assert_eq!(scene.marked(), ["a"]);
}

#[test]
fn a_client_is_in_as_many_channels_as_it_may() {
    let mut scene = Scene::new();
    assert!(scene.join(0, "a", 1).is_some() && scene.join(0, "b", 1).is_none());
    assert!(scene.join(0, "a", 1).is_some(), "it is in this one already");
    scene.leave(0, "a");
    assert!(scene.join(0, "b", 1).is_some());
}

#[test]
fn a_node_takes_clients_into_its_channels_and_into_no_other_beyond_the_limit() {
    let mut scene = Scene::new();
    assert!(scene.try_join(0, "a", 9, 1).is_ok());
    let refused = scene.try_join(1, "b", 9, 1).err();
    assert_eq!(refused, Some(NotJoined::TooManyChannels));
    assert!(scene.try_join(1, "a", 9, 1).is_ok());
    scene.leave(1, "a");
    scene.leave(0, "a");
    assert!(scene.try_join(1, "b", 9, 1).is_ok());
}

#[test]
fn an_acknowledgement_waits_until_redis_confirms_its_channel() {
    let (mut scene, now) = (Scene::new(), Instant::now());
    let join = scene.join(0, "a", 9).unwrap();
    let client = ConnectionRef {
        id: ConnectionId(0),
        secret: 7,
    };
    let answer = JoinAnswer {
        reply: JoinReply::Line(None),
        texts: JoinTexts::Stock,
    };
    let ack = PendingAck::new(client, NAMESPACE, answer);
    let joined = scene.ledger.bytes();
    scene.subscriptions.wait(ack, vec![join], now);
    assert!(scene.ledger.bytes() > joined);
    assert_eq!(scene.subscriptions.next_deadline(), Some(now + TIMEOUT));
    let interest = scene.subscriptions.reader().interests("a")[0];
    let live = |scene: &mut Scene| {
        scene
            .subscriptions
            .live(&"a".into(), interest, Epoch::new(1))
    };
    let (answered, settled) = live(&mut scene);
    assert_eq!((answered.len(), settled.len()), (1, 0));
    drop(answered);
    assert_eq!(scene.ledger.bytes(), joined);
    assert_eq!(live(&mut scene).0.len(), 0);
    assert!(scene.join(1, "a", 9).unwrap().is_live);
    let lost = LostScope::Connection(Epoch::new(1));
    scene.subscriptions.lost(None, &lost);
    assert!(!scene.join(2, "a", 9).unwrap().is_live);
}
