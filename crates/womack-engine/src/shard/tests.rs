//! A whole shard, driven without a socket and without a clock.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame as WebSocketFrame,
    coding::{Data, OpCode},
};
use womack_ledger::{CHANNEL_BYTES, MEMBERSHIP_BYTES, Memory};
use womack_proto::{Answer, Channel, SessionError, relay::AnswerLoss, subscriber::Epoch};

use super::{
    io::{memory::MemorySocket, socket_event::SocketEvent},
    *,
};
use crate::{
    command::{Delivery, LostScope, ToShard},
    config::Config,
    context::{ContextParts, Endpoint},
    encoding::{Dialect, Encoding, Published, Topic},
    limits::Limits,
    metrics::Metrics,
    namespace::{
        Channels, Entry, JoinAcknowledged, Registry, SlowClient,
        join::{JoinAnswer, JoinReply, JoinTexts},
    },
    queue::Receiver,
    report::{Report, Reports},
    session_request::{RequestKind, SessionRequest, number},
    sid::SidSource,
};

const CHANNEL: &str = "news";
const NAMESPACE: NamespaceId = NamespaceId(0);
const TOPIC: Topic = Topic {
    namespace: NAMESPACE,
    encoding: Encoding::Lines,
};
const TICK: Duration = Duration::from_millis(250);
/// What a client's socket takes at once, and what may wait for it beside that.
const ROOM: usize = 1000;
const QUEUE: usize = 5000;

/// The endpoint for Socket.IO.
const SOCKET_IO: u8 = 1;

/// A shard with one namespace, and with endpoints for JSON lines and for Socket.IO.
struct Scene {
    shard: Shard,
    reports: Receiver<Report>,
    now: Instant,
}

/// A client's end, and its connection.
struct TestClient {
    socket: MemorySocket,
    id: ConnectionId,
}

/// A client's WebSocket frame.
fn masked(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut frame = WebSocketFrame::message(text.to_owned(), OpCode::Data(Data::Text), true);
    frame.header_mut().mask = Some([1, 2, 3, 4]);
    frame.format(&mut bytes).unwrap();
    bytes
}

impl Scene {
    fn new() -> Self {
        let limits = Limits {
            max_client_queue_bytes: QUEUE,
            ..Limits::default()
        };
        let config = Config {
            limits: limits.into(),
            ..Config::default()
        };
        let registry = Registry::new(vec![Entry {
            path: "/".to_owned(),
            key: "key".to_owned(),
            coalesce: Duration::ZERO,
            slow_client: SlowClient::Close,
            max_messages_per_second: 0,
            presence: false,
            handler: Arc::new(Channels::default()),
        }]);
        let (reports, received_reports) = Reports::new(10, &Ledger::default());
        let context = Context::new(ContextParts {
            config,
            registry,
            endpoints: [("/ws", Speaks::Lines), ("/socket.io/", Speaks::SocketIo)]
                .map(|(path, speaks)| Endpoint {
                    path: path.to_owned(),
                    speaks,
                })
                .into(),
            metrics: Arc::new(Metrics::unread(1)),
            sids: SidSource::new().unwrap(),
            room: 100,
            memory: Memory::new(1),
            reports: Some(reports),
        });
        let context = context.unwrap();
        let (now, dirty) = (Instant::now(), Arc::new(DirtyChannels::new(1)));
        let (context, sockets) = (Arc::new(context), Sockets::in_memory());
        let shard = Shard::new(ShardId(0), context, sockets, None, dirty, now);
        Self {
            shard,
            reports: received_reports,
            now,
        }
    }

    fn admit(&self) -> Admitted {
        let limits = self.shard.context.config.limits.load();
        let admission = &self.shard.context.admission;
        let admitted = admission.admit(Ipv4Addr::LOCALHOST.into(), limits.admission(), self.now);
        let Ok(admitted) = admitted else {
            panic!("there is room");
        };
        admitted
    }

    /// A client opens a WebSocket.
    fn connect(&mut self) -> TestClient {
        let admitted = self.admit();
        let (socket, id) = (
            MemorySocket::with_room(ROOM),
            self.shard.connections.next_id(),
        );
        let stream = Socket::Memory(socket.clone());
        self.shard
            .open_plain(stream, &[], 0, NAMESPACE, admitted, self.now);
        TestClient { socket, id }
    }

    /// A client opens a session by polling.
    fn open_polling(&mut self) -> Sid {
        self.open_polling_with("EIO=4&transport=polling")
    }

    /// The same with a handshake's query.
    fn open_polling_with(&mut self, handshake: &str) -> Sid {
        let handshake = Handshake::parse(handshake).unwrap();
        let admitted = self.admit();
        let opened = self
            .shard
            .open_polling(SOCKET_IO, &handshake, admitted, self.now);
        let text = String::from_utf8(opened.unwrap().bytes.into()).unwrap();
        let (_, rest) = text.split_once(r#""sid":""#).unwrap();
        Sid::parse(rest.split('"').next().unwrap()).unwrap()
    }

    fn request(&mut self, sid: Sid, kind: RequestKind) {
        let request = SessionRequest { sid, kind };
        self.shard.handle_request(request, self.now);
    }

    /// A client polls. The answer is to be read from the receiver.
    fn poll(&mut self, sid: Sid, stamp: u64) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let (token, stamp) = (number(), Some(stamp));
        let kind = RequestKind::Poll {
            token,
            stamp,
            answer,
        };
        self.request(sid, kind);
        answered
    }

    /// A polling client brings a packet.
    fn post(&mut self, sid: Sid, packet: &str) {
        let (answer, mut answered) = oneshot::channel();
        let body = packet.to_owned().into();
        self.request(sid, RequestKind::Post { body, answer });
        assert_eq!(answered.try_recv(), Ok(Answer::Taken));
    }

    /// A polling client goes on over a WebSocket.
    fn upgrade(&mut self, sid: Sid) -> MemorySocket {
        let socket = MemorySocket::with_room(ROOM);
        let early = [masked("2probe"), masked("5")].concat();
        self.shard
            .probe(sid, Socket::Memory(socket.clone()), &early);
        self.shard.flush();
        socket
    }

    /// A client sends a line.
    fn say(&mut self, client: &TestClient, line: &str) {
        client.socket.push(&masked(line));
        self.ready(client);
    }

    /// A client reads all that there is.
    fn read(&mut self, client: &TestClient) -> String {
        let bytes = client.socket.take();
        self.ready(client);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn ready(&mut self, client: &TestClient) {
        let event = SocketEvent {
            socket: SocketId::Client(client.id),
            is_readable: true,
            is_writable: true,
            ends: false,
        };
        self.shard.ready([event], self.now);
    }

    /// Redis confirms the channel.
    fn confirm(&mut self) {
        let channel = self.redis_channel();
        let command = ToShard::Live {
            interests: self.shard.channels_reader().interests(&channel),
            channel,
            epoch: Epoch::new(1),
        };
        self.shard.apply_commands(&mut vec![command], self.now);
    }

    fn apply(&mut self, command: ToShard) {
        self.shard.apply_commands(&mut vec![command], self.now);
    }

    /// A message is published on the channel.
    fn publish(&mut self, json: &str) {
        let published = Published {
            channel: CHANNEL,
            json: json.as_bytes(),
            id: womack_proto::event_stream::EventId { node: 0, number: 0 },
        };
        let prefix = Encoding::Lines.prefix("/", CHANNEL);
        let command = ToShard::Deliver(Delivery {
            channel: self.redis_channel(),
            topic: TOPIC,
            bytes: Encoding::Lines.message(&prefix, &published),
            except: Default::default(),
            note: None,
            received: self.now,
        });
        self.shard.apply_commands(&mut vec![command], self.now);
    }

    /// A client asks for `channels` and waits for the answer.
    fn join(&mut self, client: &TestClient, channels: &[&str]) {
        let channels = channels
            .iter()
            .map(|name| Channel::parse(name, 100).unwrap());
        let request = JoinAcknowledged {
            channels: channels.collect(),
            dialect: Dialect::default(),
            answer: JoinAnswer {
                reply: JoinReply::Line(None),
                texts: JoinTexts::Given {
                    live: "live".into(),
                    unavailable: "unavailable".into(),
                },
            },
        };
        self.shard.join_acknowledged(client.id, NAMESPACE, request);
        self.shard.flush();
    }

    /// The reports of clients that came into channels and left them, since the last call.
    fn memberships(&mut self) -> Vec<String> {
        let mut reports = Vec::new();
        self.reports.receive(&mut reports, 10).now_or_never();
        let named = reports.iter().filter_map(|report| match report {
            Report::Subscribed(place) => Some(format!("+{}", place.channel)),
            Report::Unsubscribed(place) => Some(format!("-{}", place.channel)),
            _ => None,
        });
        named.collect()
    }

    fn redis_channel(&self) -> Arc<str> {
        let registry = &self.shard.context.registry;
        registry.redis_channel(NAMESPACE, CHANNEL)
    }

    /// How often something was written to a client.
    fn writes(&self) -> u64 {
        self.shard.context.metrics.deliveries.writes.get()
    }

    /// Time passes, in ticks as a thread has them.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + TICK);
            self.shard.tick(self.now);
            self.shard.turn(self.now);
        }
    }
}

/// The packets of an answer that is there.
fn polled(answered: &mut oneshot::Receiver<Answer>) -> String {
    let body = answered.try_recv().unwrap().packets().unwrap();
    String::from_utf8_lossy(&body.bytes).into_owned()
}

#[test]
fn a_client_subscribes_and_is_closed_when_it_reads_too_slowly() {
    let mut scene = Scene::new();
    let client = scene.connect();
    assert!(scene.read(&client).contains("session"));
    scene.say(&client, r#"{"subscribe":"news"}"#);
    assert_eq!(scene.read(&client), "", "Redis has not confirmed it");
    scene.confirm();
    assert!(scene.read(&client).contains(r#""subscribed":["news"]"#));
    scene.publish("1");
    assert!(scene.read(&client).contains(r#""message":1"#));

    let long = format!("{:?}", "x".repeat(ROOM));
    for _ in 0..3 {
        scene.publish(&long);
    }
    let mut read = 0;
    for _ in 0..4 {
        read += scene.read(&client).len();
    }
    assert!(
        read > 3 * ROOM,
        "what waited was written when there was room"
    );
    assert_eq!(scene.shard.session_count(), 1);

    for _ in 0..7 {
        scene.publish(&long);
    }
    assert_eq!(scene.shard.session_count(), 0);
    assert!(client.socket.is_finished() && scene.shard.has_closing_sockets());
    scene.pass(CLOSING_TIME);
    assert!(!scene.shard.has_closing_sockets());
    assert_eq!(scene.shard.ledger.bytes(), 0);
}

#[test]
fn a_refused_join_is_not_announced_and_an_answered_one_is() {
    let mut scene = Scene::new();
    let client = scene.connect();
    scene.read(&client);
    scene.shard.context.config.limits.store(Limits {
        max_channels_per_client: 2,
        ..Limits::default()
    });
    scene.join(&client, &["news", "b", "c"]);
    assert!(scene.read(&client).contains("unavailable"));
    assert_eq!(scene.memberships(), Vec::<String>::new());
    scene.join(&client, &["news"]);
    assert_eq!(
        scene.read(&client),
        "",
        "no channel of the refused request is left"
    );
    scene.confirm();
    assert!(scene.read(&client).contains("live"));
    assert_eq!(scene.memberships(), ["+key:news"]);
    scene.join(&client, &["news", "b", "c"]);
    assert!(scene.read(&client).contains("unavailable"));
    assert_eq!(
        scene.memberships(),
        Vec::<String>::new(),
        "the client is in `news` still"
    );
}

#[test]
fn a_member_that_asks_again_is_told_that_redis_refuses_its_channel() {
    let mut scene = Scene::new();
    let client = scene.connect();
    scene.read(&client);
    scene.join(&client, &["news"]);
    scene.confirm();
    assert!(scene.read(&client).contains("live"));
    let scope = Arc::new(LostScope::Connection(Epoch::new(1)));
    scene.apply(ToShard::Lost(None, scope));
    scene.join(&client, &["news"]);
    let channel = scene.redis_channel();
    let interests = scene.shard.channels_reader().interests(&channel);
    scene.apply(ToShard::Refused { channel, interests });
    let told = scene.read(&client);
    assert!(told.contains("unavailable"), "{told}");
    assert!(told.contains("womack:unsubscribed"), "{told}");
}

#[test]
fn a_polling_client_that_is_to_go_joins_nothing_any_more() {
    let mut scene = Scene::new();
    let sid = scene.open_polling();
    scene.post(sid, "40");
    scene.post(sid, r#"421["subscribe",{"channel":"news"}]"#);
    scene.confirm();
    assert!(polled(&mut scene.poll(sid, 1)).contains(r#"431[{"ok":true"#));
    scene.shard.retire_some(1, scene.now);
    scene.post(sid, r#"422["subscribe",{"channel":"news"}]"#);
    scene.confirm();
    let told = polled(&mut scene.poll(sid, 2));
    assert!(
        told.contains(r#"432[{"ok":false,"error":"unavailable""#),
        "{told}"
    );
    assert_eq!(scene.memberships(), ["+key:news", "-key:news"]);
}

#[test]
fn a_client_that_is_silent_is_pinged_and_then_closed() {
    let mut scene = Scene::new();
    let client = scene.connect();
    scene.read(&client);
    let timing = scene.shard.context.rules.timing.clone();
    scene.pass(timing.ping_interval);
    assert_eq!(scene.read(&client), "\u{fffd}\0", "a ping");
    scene.pass(timing.ping_timeout);
    assert_eq!(scene.shard.session_count(), 0);
}

#[test]
fn a_poll_that_is_answered_to_nobody_ends_its_session() {
    let mut scene = Scene::new();
    let sid = scene.open_polling();
    drop(scene.poll(sid, 1));
    assert_eq!(scene.shard.session_count(), 1, "nothing was lost");
    scene.post(sid, "40");
    assert_eq!(scene.shard.session_count(), 0);
}

#[test]
fn a_poll_that_comes_late_ends_its_session() {
    let mut scene = Scene::new();
    let sid = scene.open_polling();
    scene.post(sid, "40");
    let joined = polled(&mut scene.poll(sid, 1));
    assert!(joined.starts_with("40"), "{joined}");
    scene.post(sid, r#"421["subscribe",{"channel":"news"}]"#);
    scene.confirm();
    assert!(polled(&mut scene.poll(sid, 2)).contains("431["));
    let late = scene.poll(sid, 1).try_recv();
    assert_eq!(late, Ok(Answer::Refused(SessionError::BadRequest)));
    assert_eq!(scene.shard.session_count(), 0);
}

#[test]
fn an_answer_that_was_lost_ends_its_session() {
    for (loss, next_stamp, sessions) in [
        (AnswerLoss::Certain, None, 0),
        (AnswerLoss::IfRepeated(1), None, 1),
        (AnswerLoss::IfRepeated(1), Some(1), 0),
        (AnswerLoss::IfRepeated(1), Some(2), 1),
    ] {
        let mut scene = Scene::new();
        let sid = scene.open_polling();
        scene.post(sid, "40");
        let answer = scene.poll(sid, 1).try_recv();
        assert!(matches!(answer, Ok(Answer::Packets(_))), "{answer:?}");
        scene.request(sid, RequestKind::AnswerLost { loss });
        if let Some(stamp) = next_stamp {
            drop(scene.poll(sid, stamp));
        }
        let found = scene.shard.session_count();
        assert_eq!(found, sessions, "{loss:?} and {next_stamp:?}");
    }
}

#[test]
fn an_answer_that_was_lost_ends_its_session_even_if_the_client_has_gone_on_over_a_websocket() {
    for (next_stamp, sessions) in [(1, 0), (2, 1)] {
        let mut scene = Scene::new();
        let sid = scene.open_polling();
        scene.post(sid, "40");
        assert!(polled(&mut scene.poll(sid, 1)).starts_with("40"));
        let mut next = scene.poll(sid, next_stamp);
        let socket = scene.upgrade(sid);
        assert_eq!(polled(&mut next), "6");
        assert!(String::from_utf8_lossy(&socket.take()).ends_with("3probe"));
        let loss = AnswerLoss::IfRepeated(1);
        scene.request(sid, RequestKind::AnswerLost { loss });
        assert_eq!(scene.shard.session_count(), sessions, "{next_stamp}");
    }
}

#[test]
fn memory_is_made_by_those_who_make_no_progress_and_then_by_those_who_hold_too_much() {
    let mut scene = Scene::new();
    let [stalled, slow, idle] = [(), (), ()].map(|()| {
        let client = scene.connect();
        scene.read(&client);
        client
    });
    for client in [&stalled, &slow] {
        scene.join(client, &["news"]);
        scene.confirm();
        assert!(scene.read(client).contains("live"));
    }
    let long = format!("{:?}", "x".repeat(ROOM));
    for _ in 0..3 {
        scene.publish(&long);
    }
    // Longer than it may take to make progress, and shorter than until the next ping.
    for _ in 0..2 {
        scene.pass(Duration::from_secs(6));
        scene.read(&slow);
    }
    let memory = &scene.shard.context.memory;
    let budget = memory.budget(0);
    let _rest = scene.shard.ledger.hold(budget / 4 * 3);
    scene.pass(TICK);
    assert!(stalled.socket.is_finished());
    assert!(!slow.socket.is_finished() && !idle.socket.is_finished());

    // Each of the two may hold a part of next to nothing.
    let clients = scene.shard.context.admission.sessions();
    let held = scene.shard.connections.burdens(0, scene.now).len();
    assert_eq!((clients, held), (2, 1));
    scene.shard.context.config.limits.store(Limits {
        memory_budget_bytes: 1,
        ..Limits::default()
    });
    scene.pass(TICK);
    assert!(slow.socket.is_finished() && !idle.socket.is_finished());
}

#[test]
fn a_round_is_written_before_it_holds_what_all_clients_have_asked_for() {
    let mut scene = Scene::new();
    let clients: Vec<_> = (0..20).map(|_| scene.connect()).collect();
    let before = scene.writes();
    for client in &clients {
        client.socket.push(&masked("x").repeat(5000));
        scene.shard.read(SocketId::Client(client.id), false);
        assert!(!scene.shard.egress.is_full());
    }
    assert!(scene.writes() > before, "the clients have asked for little");
}

#[test]
fn messages_have_their_turn_however_much_clients_send() {
    let mut scene = Scene::new();
    let lines = masked("x").repeat(5000);
    let clients: Vec<_> = (0..40).map(|_| scene.connect()).collect();
    let events = clients.iter().map(|client| {
        client.socket.push(&lines);
        SocketEvent {
            socket: SocketId::Client(client.id),
            is_readable: true,
            is_writable: false,
            ends: false,
        }
    });
    let events: Vec<_> = events.collect();
    scene.shard.ready(events, scene.now);
    assert!(scene.shard.has_unread());
    scene.shard.read_unread(scene.now);
    assert!(!scene.shard.has_unread());
}

#[test]
fn a_message_that_is_never_finished_is_charged_and_ends_its_client() {
    let mut scene = Scene::new();
    let client = scene.connect();
    let idle = scene.shard.ledger.bytes();
    let whole = masked(&"x".repeat(5000));
    client.socket.push(&whole[..4000]);
    scene.ready(&client);
    assert!(scene.shard.ledger.bytes() >= idle + 3990);
    let timeout = scene.shard.context.config.handshake_timeout;
    scene.pass(timeout - TICK * 2);
    assert!(!client.socket.is_finished());
    scene.pass(TICK * 3);
    assert!(client.socket.is_finished());
    assert_eq!(scene.shard.session_count(), 0);
}

#[test]
fn a_packet_whose_attachments_never_come_is_charged_and_ends_its_session() {
    let mut scene = Scene::new();
    let sid = scene.open_polling();
    scene.post(sid, "40");
    let idle = scene.shard.ledger.bytes();
    let argument = "x".repeat(5000);
    scene.post(sid, &format!(r#"452-["event","{argument}"]"#));
    scene.post(sid, "bAAAA");
    assert!(scene.shard.ledger.bytes() >= idle + 5003);
    scene.pass(scene.shard.context.config.handshake_timeout + TICK);
    assert_eq!(
        (scene.shard.session_count(), scene.shard.ledger.bytes()),
        (0, 0)
    );
}

#[test]
fn a_channel_is_charged_until_its_last_subscriber_leaves() {
    let mut scene = Scene::new();
    let (first, second) = (scene.connect(), scene.connect());
    let idle = scene.shard.ledger.bytes();
    for client in [&first, &second] {
        scene.say(client, r#"{"subscribe": ["news"]}"#);
    }
    scene.confirm();
    let charged = scene.shard.ledger.bytes() - idle;
    let names = scene.redis_channel().len();
    assert_eq!(charged, CHANNEL_BYTES + names + 2 * MEMBERSHIP_BYTES);
    for client in [&first, &second] {
        scene.say(client, r#"{"unsubscribe": ["news"]}"#);
    }
    assert_eq!(scene.shard.ledger.bytes(), idle);
}

#[test]
fn a_session_whose_client_makes_no_second_request_ends_soon() {
    for revision in ["EIO=4", "EIO=3"] {
        let mut scene = Scene::new();
        let time = scene.shard.context.config.handshake_timeout;
        let handshake = format!("{revision}&transport=polling");
        scene.open_polling_with(&handshake);
        scene.pass(time - TICK);
        assert_eq!(scene.shard.session_count(), 1);
        scene.pass(TICK * 2);
        assert_eq!(scene.shard.session_count(), 0, "{revision}");
        let sid = scene.open_polling_with(&handshake);
        let poll = scene.poll(sid, 1);
        if revision == "EIO=4" {
            scene.post(sid, "40");
        }
        scene.pass(time + TICK);
        assert_eq!(scene.shard.session_count(), 1, "{revision}");
        drop(poll);
    }
}
