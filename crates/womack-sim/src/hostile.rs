//! Clients that send what is malformed or too much, and read nothing. Nobody judges what becomes of
//! them; other clients must not notice them.

use std::{rc::Rc, time::Duration};

use tokio::time::sleep;
use womack_engine::Sid;
use womack_proto::{Handshake, Revision};

use crate::{
    client::SHARDS,
    dialect::{Packet, line_of, packet_of, read_packet},
    http::{Http, Poll},
    node::Place,
    polling::Polling,
    websocket::WebSocket,
    world::World,
};

/// Bytes that the system takes for one of them, so that more waits at the server.
const ROOM: usize = 512;
/// Channels that one of them asks for at once: more than a client may have, at times.
const MOST_CHANNELS: usize = 90;
/// Packets that one of them sends at once: more than a client may send in two seconds, at times.
const MOST_PACKETS: usize = 1600;
/// Bytes of a part of a message.
const MOST_PART: usize = 64 << 10;
/// Sessions that one of them opens and does not end.
const MOST_SESSIONS: usize = 12;
/// Polls of one session that are under way at a time.
const MOST_POLLS: usize = 6;
/// Bytes of its metadata, of which a server keeps as many by default.
const MOST_META: usize = 4000;
/// Changes of its own metadata that one of them makes at once.
const METAS: usize = 20;

/// What one of them does, over a WebSocket or by polling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Habit {
    /// Sends parts of a message that never ends, and pings between them.
    UnfinishedMessages,
    /// Subscribes to more channels than it may have, and leaves them.
    ManyChannels,
    /// Sends more packets than it may.
    ManyPackets,
    /// Changes its metadata again and again.
    Metas,
    /// Sends what no protocol allows.
    Nonsense,
    /// Wants all channels, and reads nothing.
    Deaf,
    /// Opens sessions by polling, and asks for nothing more.
    Sessions,
    /// Sends polls at all nodes, and takes no answer.
    Polls,
    /// Announces attachments that never come.
    Attachments,
}

const HABITS: [Habit; 9] = [
    Habit::UnfinishedMessages,
    Habit::ManyChannels,
    Habit::ManyPackets,
    Habit::Metas,
    Habit::Nonsense,
    Habit::Deaf,
    Habit::Sessions,
    Habit::Polls,
    Habit::Attachments,
];

impl Habit {
    const fn name(self) -> &'static str {
        match self {
            Self::UnfinishedMessages => "hostile: unfinished messages",
            Self::ManyChannels => "hostile: many channels",
            Self::ManyPackets => "hostile: many packets",
            Self::Metas => "hostile: metas",
            Self::Nonsense => "hostile: nonsense",
            Self::Deaf => "hostile: reads nothing",
            Self::Sessions => "hostile: sessions",
            Self::Polls => "hostile: polls without end",
            Self::Attachments => "hostile: attachments that never come",
        }
    }

    const fn polls(self) -> bool {
        matches!(self, Self::Sessions | Self::Polls | Self::Attachments)
    }
}

/// A hostile client.
pub(crate) struct HostileClient {
    name: String,
    world: Rc<World>,
    rng: fastrand::Rng,
    attack: Option<Attack>,
}

/// What a hostile client holds of a node.
struct Attack {
    habit: Habit,
    place: Place,
    /// How often it acts before it goes.
    acts: u32,
    hold: Hold,
}

enum Hold {
    WebSocket(Line),
    Sessions(Vec<Sid>),
    /// A session, and polls of it that wait or are answered.
    Session(Sid, Vec<Poll>),
}

/// A WebSocket, which is never read but at its beginning.
struct Line {
    shard: usize,
    websocket: WebSocket,
    /// The session, if it is one of Socket.IO.
    revision: Option<Revision>,
    requests: u64,
    /// Whether a message has begun.
    has_begun: bool,
}

impl HostileClient {
    pub(crate) fn new(world: &Rc<World>, number: usize) -> Self {
        Self {
            name: format!("hostile client {number}"),
            world: world.clone(),
            rng: world.rng("hostile client", number as u64),
            attack: None,
        }
    }

    /// Acts at random until the world is at rest, and then goes.
    pub(crate) async fn run(mut self) {
        let mean = Duration::from_millis(80 << self.rng.u32(..3));
        while !self.world.is_resting() {
            sleep(mean.mul_f64(2.0 * self.rng.f64())).await;
            self.act();
        }
        if let Some(attack) = self.attack.take() {
            self.go(&attack);
        }
    }

    fn act(&mut self) {
        let Some(mut attack) = self.attack.take() else {
            self.attack = self.come();
            return;
        };
        if self.world.node(attack.place).is_none() {
            return;
        }
        if attack.acts == 0 {
            // The others leave it to the server to find out that nobody is there any more.
            if self.rng.bool() {
                self.go(&attack);
            }
            return;
        }
        attack.acts -= 1;
        if attack.habit != Habit::Deaf {
            self.world.step(attack.habit.name());
        }
        let goes_on = match &mut attack.hold {
            Hold::WebSocket(line) => {
                self.send(attack.habit, line);
                self.ready(attack.place, line);
                !line.websocket.socket().is_finished()
            }
            Hold::Sessions(sids) => self.open_another(attack.place, sids),
            Hold::Session(sid, polls) => self.poll(attack.habit, *sid, polls),
        };
        if goes_on {
            self.attack = Some(attack);
        }
    }

    /// Comes to a node that takes clients.
    fn come(&mut self) -> Option<Attack> {
        let place = self
            .world
            .place(self.rng.usize(..self.world.node_count()))?;
        let habit = HABITS[self.rng.usize(..HABITS.len())];
        let hold = match habit {
            Habit::Sessions => Hold::Sessions(Vec::new()),
            _ if habit.polls() => Hold::Session(self.open_session(place)?, Vec::new()),
            _ => Hold::WebSocket(self.open(place, habit)?),
        };
        self.world
            .note(format!("{} comes: {}", self.name, habit.name()));
        self.world.step(habit.name());
        Some(Attack {
            habit,
            place,
            acts: self.rng.u32(5..60),
            hold,
        })
    }

    /// Goes in a way that the server sees.
    fn go(&self, attack: &Attack) {
        self.world.note(format!("{} goes", self.name));
        if let Hold::WebSocket(line) = &attack.hold {
            line.websocket.socket().close();
            self.ready(attack.place, line);
        }
    }

    fn open(&mut self, place: Place, habit: Habit) -> Option<Line> {
        let node = self.world.node(place)?;
        let (shard, mut websocket) = (self.rng.usize(..SHARDS), WebSocket::with_room(ROOM));
        // JSON lines know no metadata.
        let is_socket_io = habit == Habit::Metas || self.rng.bool();
        let revision = is_socket_io.then(|| match self.rng.bool() {
            true => Revision::V3,
            false => Revision::V4,
        });
        match revision {
            None => node.open(shard, websocket.socket())?,
            Some(revision) => {
                let http = node.http();
                http.open_websocket(shard, revision, websocket.socket())
                    .ok()?;
                websocket.fill();
                if revision == Revision::V4 {
                    websocket.write("40");
                }
            }
        }
        let mut line = Line {
            shard,
            websocket,
            revision,
            requests: 0,
            has_begun: false,
        };
        if habit == Habit::Deaf || habit == Habit::Metas {
            let channels: Vec<_> = (0..32).map(|number| format!("c{number}")).collect();
            line.ask(true, &channels);
        }
        self.ready(place, &line);
        Some(line)
    }

    /// The system tells the shard that the socket is ready.
    fn ready(&self, place: Place, line: &Line) {
        if let Some(node) = self.world.node(place) {
            node.ready(line.shard, line.websocket.socket());
        }
    }

    fn send(&mut self, habit: Habit, line: &mut Line) {
        match habit {
            Habit::UnfinishedMessages => {
                let part = "x".repeat(self.rng.usize(1..MOST_PART));
                line.websocket.write_part(&part, !line.has_begun);
                line.has_begun = true;
                if self.rng.bool() {
                    line.websocket.ping();
                }
            }
            Habit::ManyChannels => {
                let count = self.rng.usize(1..=MOST_CHANNELS);
                let names = (0..count).map(|_| format!("h{}", self.rng.u32(..200)));
                let names: Vec<_> = names.collect();
                line.ask(self.rng.u8(..3) > 0, &names);
            }
            Habit::ManyPackets => {
                for _ in 0..self.rng.usize(1..=MOST_PACKETS) {
                    line.websocket.write("2");
                }
            }
            Habit::Metas => {
                for _ in 0..METAS {
                    let meta = "x".repeat(self.rng.usize(1..MOST_META));
                    let packet = format!("42[\"meta\",\"{meta}\"]");
                    line.websocket.write(&packet);
                }
            }
            Habit::Nonsense => self.send_nonsense(line),
            Habit::Deaf | Habit::Sessions | Habit::Polls | Habit::Attachments => {}
        }
    }

    fn send_nonsense(&mut self, line: &Line) {
        let texts = [
            "",
            "4",
            "9",
            "42[",
            "42[\"subscribe\"]",
            "42[\"subscribe\",{\"channels\":[[]]}]",
            "451-[\"subscribe\"",
            "40/nowhere,",
            "41",
            "6",
            "2probe",
            "{\"subscribe\":",
            "{\"subscribe\":[]}",
            "{\"subscribe\":\"\",\"id\":{}}",
            "[]",
            "\u{2028}",
        ];
        match self.rng.u8(..8) {
            // Bytes that are frames by chance only.
            0 => {
                let bytes: Vec<_> = (0..self.rng.usize(1..40))
                    .map(|_| self.rng.u8(..))
                    .collect();
                line.websocket.socket().push(&bytes);
            }
            _ => line.websocket.write(texts[self.rng.usize(..texts.len())]),
        }
    }

    /// Opens a session by polling.
    fn open_session(&mut self, place: Place) -> Option<Sid> {
        let http = self.world.node(place)?.http();
        let handshake = Handshake::parse("EIO=4&transport=polling&t=first").ok()?;
        let shard = self.rng.usize(..SHARDS);
        let body = http.open_polling(shard, &handshake).ok()?;
        let packets = Polling::packets(&body, false)?;
        match read_packet(packets.first()?)? {
            Packet::Open(sid) => Sid::parse(&sid),
            _ => None,
        }
    }

    /// Opens one more session that nobody asks for anything. False if there are enough.
    fn open_another(&mut self, place: Place, sids: &mut Vec<Sid>) -> bool {
        sids.extend(self.open_session(place));
        sids.len() < MOST_SESSIONS
    }

    /// Sends a GET or a POST of a session to any node; returns whether it was taken.
    fn poll(&mut self, habit: Habit, sid: Sid, polls: &mut Vec<Poll>) -> bool {
        let Some(http) = self.any_http() else {
            return true;
        };
        let shard = self.rng.usize(..SHARDS);
        if habit == Habit::Attachments {
            let attachments = self.rng.u32(1..10);
            let text = "x".repeat(self.rng.usize(1..MOST_PART));
            let body = format!("45{attachments}-[\"subscribe\",\"{text}\"]");
            return http.post(shard, sid, body).is_ok();
        }
        // Some ask for sessions that no node has, and that a node may have had.
        let sid = match self.rng.u8(..8) {
            0 => Sid {
                secret: self.rng.u64(..),
                ..sid
            },
            1 => Sid {
                node: self.rng.u32(..),
                ..sid
            },
            _ => sid,
        };
        if polls.len() == MOST_POLLS {
            polls.remove(self.rng.usize(..MOST_POLLS));
        }
        let stamp = Some(self.rng.u64(..4));
        polls.extend(http.poll(shard, sid, stamp));
        true
    }

    fn any_http(&mut self) -> Option<Rc<Http>> {
        let number = self.rng.usize(..self.world.node_count());
        Some(self.world.node_at(number)?.http())
    }
}

impl Line {
    /// Asks for channels, or leaves them.
    fn ask(&mut self, subscribes: bool, channels: &[String]) {
        self.requests += 1;
        let text = match self.revision {
            None => line_of(self.requests, subscribes, channels),
            Some(_) => packet_of(self.requests, subscribes, channels),
        };
        self.websocket.write(&text);
    }
}
