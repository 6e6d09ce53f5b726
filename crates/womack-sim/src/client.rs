//! Clients of JSON lines that subscribe, leave, sleep and read slowly.

use std::{cell::RefCell, collections::BTreeMap, io::Cursor, rc::Rc, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame, FrameHeader,
    coding::{Control, Data, OpCode},
};
use womack_engine::MemorySocket;

use crate::{node::Place, oracle::Subscription, world::World};

/// Bytes that the system takes for a client that does not read.
const ROOM: usize = 64 << 10;
/// The mask of what clients write. A server need not find it out.
const MASK: [u8; 4] = [1, 2, 3, 4];
/// More than a node has shards: which one a client gets is left to the node.
const SHARDS: usize = 6;
/// How long an answer to a request may take: the server's own time-out, and some time to be read.
const ANSWER: Duration = Duration::from_secs(6);

/// A client.
pub(crate) struct Client {
    name: String,
    world: Rc<World>,
    rng: fastrand::Rng,
    connection: Option<Connection>,
}

/// A connection of a client, which knows nothing of those before it.
struct Connection {
    place: Place,
    shard: usize,
    socket: MemorySocket,
    input: Vec<u8>,
    channels: BTreeMap<String, Subscription>,
    requests: BTreeMap<u64, Request>,
    last_request: u64,
    /// Until when it does not read.
    sleeps_until: Option<Instant>,
}

/// A request that is not answered.
struct Request {
    subscribes: bool,
    channels: Vec<String>,
    asked: Instant,
    /// Whether a later request leaves one of the channels.
    is_undone: bool,
}

impl Client {
    pub(crate) fn new(world: &Rc<World>, number: usize) -> Self {
        Self {
            name: format!("client {number}"),
            world: world.clone(),
            rng: world.rng("client", number as u64),
            connection: None,
        }
    }

    /// Acts at random until the world is at rest, and then only reads. Ends when it has been closed
    /// by the world's end.
    pub(crate) async fn run(mut self, standing: Rc<RefCell<Vec<Self>>>) {
        let mean = Duration::from_millis(20 << self.rng.u32(..6));
        while !self.world.is_resting() {
            sleep(mean.mul_f64(2.0 * self.rng.f64())).await;
            self.act();
        }
        standing.borrow_mut().push(self);
    }

    /// Does one thing.
    fn act(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return self.connect();
        };
        match self.rng.u8(..100) {
            0..25 => self.subscribe(&mut connection),
            25..35 => self.unsubscribe(&mut connection),
            35..40 => {
                // Leaves and comes again at once.
                self.unsubscribe(&mut connection);
                self.subscribe(&mut connection);
            }
            40..42 => {
                let time = Duration::from_millis(self.rng.u64(..3000));
                connection.sleeps_until = Some(Instant::now() + time);
                self.world.step("client sleeps");
            }
            42..44 => {
                self.note("leaves");
                self.world.step("client leaves");
                connection.socket.close();
                self.tell_node(&connection);
                return;
            }
            _ => {}
        }
        self.connection = Some(connection);
        self.read();
    }

    fn connect(&mut self) {
        let socket = MemorySocket::with_room(ROOM);
        let number = self.rng.usize(..self.world.node_count());
        let Some(place) = self.world.place(number) else {
            return self.world.count("no node to come to");
        };
        let shard = self.rng.usize(..SHARDS);
        let node = self.world.node(place);
        if node.and_then(|node| node.open(shard, &socket)).is_none() {
            return self.world.count("client refused");
        }
        self.note("comes");
        self.world.step("client comes");
        self.connection = Some(Connection {
            place,
            shard,
            socket,
            input: Vec::new(),
            channels: BTreeMap::new(),
            requests: BTreeMap::new(),
            last_request: 0,
            sleeps_until: None,
        });
    }

    fn subscribe(&mut self, connection: &mut Connection) {
        let channels = self.choose();
        self.ask(connection, true, channels);
    }

    fn unsubscribe(&mut self, connection: &mut Connection) {
        let wanted = connection.channels.iter();
        let wanted = wanted.filter(|(_, channel)| channel.is_wanted());
        let mut wanted: Vec<_> = wanted.map(|(name, _)| name.clone()).collect();
        if wanted.is_empty() {
            wanted = self.choose();
        }
        self.rng.shuffle(&mut wanted);
        wanted.truncate(self.rng.usize(1..=2));
        self.ask(connection, false, wanted);
    }

    /// Some channels: many clients want the first.
    fn choose(&mut self) -> Vec<String> {
        let count = self.rng.usize(1..=3);
        let mut channels: Vec<_> = (0..count)
            .map(|_| {
                let most = 1 << self.rng.u32(1..=5);
                format!("c{}", self.rng.u32(..most))
            })
            .collect();
        channels.sort();
        channels.dedup();
        channels
    }

    fn ask(&self, connection: &mut Connection, subscribes: bool, channels: Vec<String>) {
        connection.last_request += 1;
        let number = connection.last_request;
        let verb = if subscribes {
            "subscribe"
        } else {
            "unsubscribe"
        };
        self.note(&format!("{number}: {verb} {}", channels.join(" ")));
        self.world.step(verb);
        for name in &channels {
            let channel = connection.channels.entry(name.clone()).or_default();
            match subscribes {
                true => channel.ask(),
                false => channel.leave(number),
            }
        }
        if !subscribes {
            for request in connection.requests.values_mut() {
                let mut names = request.channels.iter();
                request.is_undone |= names.any(|name| channels.contains(name));
            }
        }
        let line = json!({ verb: channels, "id": number }).to_string();
        let request = Request {
            subscribes,
            channels,
            asked: Instant::now(),
            is_undone: false,
        };
        connection.requests.insert(number, request);
        let text = OpCode::Data(Data::Text);
        self.write(connection, Frame::message(line, text, true));
    }

    fn write(&self, connection: &Connection, mut frame: Frame) {
        let mut bytes = Vec::new();
        frame.header_mut().mask = Some(MASK);
        // Writing to memory does not fail.
        frame.format(&mut bytes).ok();
        connection.socket.push(&bytes);
        self.tell_node(connection);
    }

    /// The node learns that the socket is ready. Returns whether the node is still there.
    fn tell_node(&self, connection: &Connection) -> bool {
        let node = self.world.node(connection.place);
        if let Some(node) = &node {
            node.ready(connection.shard, &connection.socket);
        }
        node.is_some()
    }

    /// Reads what has come.
    pub(crate) fn read(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection
            .sleeps_until
            .is_some_and(|until| until > Instant::now())
        {
            self.connection = Some(connection);
            return;
        }
        connection.sleeps_until = None;
        if self.world.node(connection.place).is_none() {
            self.note("loses its node");
            return self.world.count("client lost its node");
        }
        loop {
            let bytes = connection.socket.take();
            if bytes.is_empty() {
                break;
            }
            connection.input.extend(bytes);
            self.tell_node(&connection);
            while let Some((code, payload)) = next_frame(&mut connection.input) {
                match code {
                    OpCode::Data(_) => self.line(&mut connection, &payload),
                    OpCode::Control(Control::Ping) => self.write(&connection, Frame::pong(payload)),
                    OpCode::Control(Control::Close)
                        if self.world.explains_close(connection.place) =>
                    {
                        self.note("is closed");
                        return self.world.count("closed");
                    }
                    OpCode::Control(Control::Close) => {
                        let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                        self.world
                            .violate(&format!("{} is closed: {reason}", self.name));
                        return;
                    }
                    OpCode::Control(_) => {}
                }
            }
        }
        if connection.socket.is_finished() && self.world.explains_close(connection.place) {
            self.note("is cut off");
            return self.world.count("cut off");
        }
        if connection.socket.is_finished() {
            self.world.violate(&format!("{} is cut off", self.name));
            return;
        }
        let late = connection
            .requests
            .iter()
            .find(|(_, request)| request.asked.elapsed() > ANSWER);
        if let Some((number, _)) = late {
            self.world
                .violate(&format!("{}: request {number} is not answered", self.name));
            return;
        }
        self.connection = Some(connection);
    }

    fn line(&self, connection: &mut Connection, payload: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Value>(payload) else {
            return self.world.violate(&format!("{}: no JSON came", self.name));
        };
        if line["event"] == "womack:unsubscribed" {
            self.unsubscribed(connection, &line);
        } else if let Some(channel) = line["channel"].as_str() {
            let number = line["message"]["n"].as_u64().unwrap_or(0);
            self.note(&format!("{channel} brings {number}"));
            self.world.count("message");
            let known = connection.channels.entry(channel.to_owned()).or_default();
            let received = known.receive(channel, number, &self.world.published());
            self.judge(received);
        } else if let Some(gap) = line.get("gap") {
            self.gap(connection, gap);
        } else if let Some(number) = line["id"].as_u64() {
            self.answer(connection, number, &line);
        } else if line.get("session").is_none() {
            self.world
                .violate(&format!("{}: nobody asked for {line}", self.name));
        }
    }

    /// Redis refuses a channel in which the client was.
    fn unsubscribed(&self, connection: &mut Connection, line: &Value) {
        self.note(&format!("is unsubscribed: {line}"));
        self.world.count("unsubscribed");
        let name = line["channel"].as_str().unwrap_or_default();
        let asks = |request: &Request| {
            request.subscribes && request.channels.iter().any(|channel| channel == name)
        };
        let requests = connection.requests.iter();
        let asking = requests.filter(|(_, request)| asks(request));
        let numbers: Vec<_> = asking.map(|(number, _)| *number).collect();
        let channel = connection.channels.entry(name.to_owned()).or_default();
        channel.end(&numbers);
    }

    fn gap(&self, connection: &mut Connection, gap: &Value) {
        self.note(&format!("gap {gap}"));
        self.world.count("gap");
        let meanings = |name: &str| {
            let told = gap[name].as_u64().unwrap_or(0);
            self.world.wall().meanings(told)
        };
        let times: Vec<_> = meanings("from").into_iter().zip(meanings("to")).collect();
        let node = connection.place.node;
        for name in gap["channels"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            let explains = |&(from, to): &(u64, u64)| self.world.explains_gap(node, name, from, to);
            if !times.iter().any(explains) {
                self.world.violate(&format!(
                    "{}: {name} had no reason for gap {gap}",
                    self.name
                ));
            }
            let channel = connection.channels.entry(name.to_owned()).or_default();
            times.iter().for_each(|&(from, to)| channel.tell(from, to));
        }
    }

    fn answer(&self, connection: &mut Connection, number: u64, line: &Value) {
        let Some(request) = connection.requests.remove(&number) else {
            return self
                .world
                .violate(&format!("{}: {number} is answered twice", self.name));
        };
        let is_ok = line["ok"] == true;
        self.note(&format!("{number} is answered: {line}"));
        self.world.count(line["error"].as_str().unwrap_or("ok"));
        let node = connection.place.node;
        if !is_ok && request.subscribes && !request.is_undone {
            let mut names = request.channels.iter();
            let ago = request.asked.elapsed();
            if !names.any(|name| self.world.explains_refusal(node, name, ago)) {
                self.world
                    .violate(&format!("{}: no reason to refuse {number}", self.name));
            }
        }
        for name in &request.channels {
            let floor = self.world.published().next(name);
            let channel = connection.channels.entry(name.clone()).or_default();
            match (request.subscribes, is_ok) {
                (true, true) => {
                    channel.confirm(number, floor);
                    if channel.is_promised() {
                        self.world.check_live(node, name);
                    }
                }
                (true, false) => channel.refuse(number),
                (false, true) => channel.has_left(number),
                (false, false) => {
                    let text = format!("{}: {number} could not leave", self.name);
                    self.world.violate(&text);
                }
            }
        }
    }

    fn judge(&self, kept: Result<(), String>) {
        if let Err(broken) = kept {
            self.world.violate(&format!("{}: {broken}", self.name));
        }
    }

    fn note(&self, text: &str) {
        self.world.note(format!("{}: {text}", self.name));
    }

    /// At rest: everything that was promised has come. Returns the channels that it wants, with the
    /// node that it is connected to.
    pub(crate) fn check_at_rest(&self) -> Vec<(usize, String)> {
        let Some(connection) = &self.connection else {
            return Vec::new();
        };
        let mut wanted = Vec::new();
        for (name, channel) in &connection.channels {
            if channel.is_promised() {
                let published = self.world.published();
                self.judge(channel.missing(name, published.next(name), &published));
            }
            if channel.is_wanted() {
                wanted.push((connection.place.node, name.clone()));
            }
        }
        if let Some(number) = connection.requests.keys().next() {
            self.world
                .violate(&format!("{}: {number} is not answered at rest", self.name));
        }
        wanted
    }
}

/// Takes the next frame of a server from the front of `input`.
fn next_frame(input: &mut Vec<u8>) -> Option<(OpCode, Vec<u8>)> {
    let mut cursor = Cursor::new(&input[..]);
    let (header, length) = FrameHeader::parse(&mut cursor).ok()??;
    let begin = usize::try_from(cursor.position()).ok()?;
    let end = begin + usize::try_from(length).ok()?;
    if input.len() < end {
        return None;
    }
    let payload = input[begin..end].to_vec();
    input.drain(..end);
    Some((header.opcode, payload))
}
