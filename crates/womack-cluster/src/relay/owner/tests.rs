//! What sessions are told of answers that they gave to other nodes.

use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::{
    runtime::Builder,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::LocalSet,
    time::timeout,
};
use womack_engine::{ConnectionId, Receiver, ShardId, queue};
use womack_ledger::{Ledger, LimitCounters, SlotPool};
use womack_proto::{PollBody, payload::Content, relay::Form};

use super::*;
use crate::{
    metrics::RelayMetrics,
    relay::context::{RelayConfig, RelayContextParts},
};

/// How long something may take to happen.
const MOST: Duration = Duration::from_secs(10);
const INGRESS: u32 = 2;
const SID: Sid = Sid {
    node: 1,
    shard: ShardId(0),
    slot: ConnectionId(0),
    secret: 7,
};

/// An owner with one shard, which the test plays.
struct Scene {
    owner: Owner,
    outgoing: Outgoing,
    events: UnboundedReceiver<Event>,
    shard: Receiver<ToShard>,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let mut registry = Registry::default();
        let config = RelayConfig {
            key: "relay".to_owned(),
            secret: None,
            timeout: Duration::from_secs(4),
            poll_timeout: Duration::from_secs(45),
            max_requests: 10,
            max_bytes: 1000,
            drain: Duration::from_secs(1),
        };
        let context = Arc::new(RelayContext::new(RelayContextParts {
            node: SID.node,
            config,
            metrics: RelayMetrics::new(&mut registry),
            limits: LimitCounters::new(&mut registry),
            sockets: Arc::new(SlotPool::new(10)),
            ledger: Ledger::default(),
        }));
        let (queue, shard) = queue(10);
        let (sender, events) = unbounded_channel();
        Self {
            owner: Owner::new(context, vec![queue], sender),
            outgoing: Outgoing::new(SID.node, Ledger::default()),
            events,
            shard,
            now: Instant::now(),
        }
    }

    /// A poll comes by way of the other node, and is answered with packets.
    async fn answer(&mut self, number: u64, stamp: Option<u64>) {
        let (place, wish) = ((INGRESS, number), Wish::Poll { stamp });
        let sid = SID.to_string();
        self.owner.ask(place, &sid, wish, false, &mut self.outgoing);
        let RequestKind::Poll { answer, .. } = self.asked().await else {
            panic!("the session is asked something else");
        };
        let packets = PollBody {
            content: Content::Text,
            bytes: Bytes::from_static(b"2"),
        };
        answer.send(Answer::Packets(packets)).unwrap();
        let Some(Event::Answered(place, answer)) = self.events.recv().await else {
            panic!("the poll is not answered");
        };
        let outgoing = &mut self.outgoing;
        self.owner.answered(place, answer, self.now, outgoing);
    }

    /// What the session is asked.
    async fn asked(&mut self) -> RequestKind {
        let mut batch = Vec::new();
        let received = timeout(MOST, self.shard.receive(&mut batch, 1)).await;
        received.expect("the session is asked something");
        match batch.pop() {
            Some(ToShard::Request(request)) => request.kind,
            other => panic!(
                "{}",
                if other.is_some() {
                    "no request"
                } else {
                    "nothing"
                }
            ),
        }
    }

    async fn loss(&mut self) -> AnswerLoss {
        let RequestKind::AnswerLost { loss } = self.asked().await else {
            panic!("the session is asked something else");
        };
        loss
    }
}

fn run(test: impl AsyncFnOnce(Scene)) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test(Scene::new()));
}

#[test]
fn a_node_that_has_died_has_lost_the_answers_whose_polls_are_repeated() {
    run(async |mut scene| {
        scene.answer(1, Some(5)).await;
        scene.answer(2, None).await;
        assert_eq!(scene.owner.partners().collect::<Vec<_>>(), [INGRESS]);
        scene.owner.node_lost(INGRESS, None, scene.now);
        assert_eq!(scene.loss().await, AnswerLoss::IfRepeated(5));
        assert_eq!(scene.loss().await, AnswerLoss::Certain);
        assert_eq!(scene.owner.partners().count(), 0);
    });
}

#[test]
fn a_node_that_has_died_before_a_poll_came_has_lost_its_answer() {
    run(async |mut scene| {
        let heard = Some(scene.now);
        scene.answer(1, Some(5)).await;
        scene.owner.node_lost(INGRESS, heard, scene.now);
        assert_eq!(scene.loss().await, AnswerLoss::Certain);
    });
}

#[test]
fn what_was_said_of_an_answer_may_be_lost_with_the_link() {
    run(async |mut scene| {
        scene.answer(1, Some(5)).await;
        scene.owner.unlinked(Vec::new(), scene.now);
        assert_eq!(scene.loss().await, AnswerLoss::IfRepeated(5));
        // It is said again, over the next link.
        scene.owner.gone((INGRESS, 1), scene.now);
        assert_eq!(scene.loss().await, AnswerLoss::Certain);
    });
}

#[test]
fn an_answer_that_has_reached_nobody_is_lost() {
    run(async |mut scene| {
        scene.answer(1, Some(5)).await;
        scene.outgoing.nodes.heard(
            &womack_proto::relay::Message {
                node: INGRESS,
                epoch: None,
                number: 0,
                kind: Kind::Here,
            },
            scene.now,
        );
        assert_eq!(scene.outgoing.nodes.form(INGRESS), Some(Form::First));
        scene.outgoing.heard(INGRESS);
        let said = scene.outgoing.take();
        let polls = said.iter().filter_map(|said| said.answered_poll());
        assert_eq!(polls.collect::<Vec<_>>(), [(INGRESS, 1)]);
        scene.owner.answer_lost((INGRESS, 1));
        assert_eq!(scene.loss().await, AnswerLoss::Certain);
    });
}
