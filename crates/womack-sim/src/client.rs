//! Clients of JSON lines that subscribe, leave, sleep and read slowly.

use std::{rc::Rc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    dialect::{Line, line_of, read_line},
    events::Member,
    session::{Session, choose},
    visitor::{Standing, Visitor},
    websocket::{Incoming, WebSocket},
    world::World,
};

/// More than a node has shards: which one a client gets is left to the node.
pub(crate) const SHARDS: usize = 6;
/// How long an answer to a request may take: the server's own time-out, and some time to be read.
pub(crate) const ANSWER: Duration = Duration::from_secs(6);

/// A client.
pub(crate) struct Client {
    name: String,
    world: Rc<World>,
    rng: fastrand::Rng,
    connection: Option<Connection>,
}

/// A connection of a client.
struct Connection {
    shard: usize,
    websocket: WebSocket,
    session: Session,
    /// Until when it does not read.
    sleeps_until: Option<Instant>,
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

    /// Acts at random until the world is at rest, and then only reads.
    pub(crate) async fn run(mut self, standing: Standing) {
        let mean = Duration::from_millis(20 << self.rng.u32(..6));
        while !self.world.is_resting() {
            sleep(mean.mul_f64(2.0 * self.rng.f64())).await;
            self.act();
        }
        standing.borrow_mut().push(Box::new(self));
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
                connection.session.note("leaves");
                self.world.step("client leaves");
                connection.websocket.socket().close();
                return self.ready(&connection);
            }
            _ => {}
        }
        self.connection = Some(connection);
        self.read();
    }

    fn connect(&mut self) {
        let number = self.rng.usize(..self.world.node_count());
        let Some(place) = self.world.place(number) else {
            return self.world.count("no node to come to");
        };
        let (shard, websocket) = (self.rng.usize(..SHARDS), WebSocket::new());
        let node = self.world.node(place);
        let opened = node.and_then(|node| node.open(shard, websocket.socket()));
        if opened.is_none() {
            return self.world.count("client refused");
        }
        let session = Session::new(&self.world, self.name.clone(), place, false);
        session.note("comes");
        self.world.step("client comes");
        self.connection = Some(Connection {
            shard,
            websocket,
            session,
            sleeps_until: None,
        });
    }

    fn subscribe(&mut self, connection: &mut Connection) {
        let channels = choose(&mut self.rng);
        self.ask(connection, true, &channels);
    }

    fn unsubscribe(&mut self, connection: &mut Connection) {
        let wanted = connection.session.choose_to_leave(&mut self.rng);
        self.ask(connection, false, &wanted);
    }

    fn ask(&self, connection: &mut Connection, subscribes: bool, channels: &[String]) {
        let number = connection.session.ask(subscribes, channels);
        let line = line_of(number, subscribes, channels);
        connection.websocket.write(&line);
        self.ready(connection);
    }

    /// The node learns that the socket is ready.
    fn ready(&self, connection: &Connection) {
        if let Some(node) = self.world.node(connection.session.place()) {
            node.ready(connection.shard, connection.websocket.socket());
        }
    }

    /// Reads what has come. False if the connection has ended.
    fn take(&self, connection: &mut Connection) -> bool {
        let place = connection.session.place();
        if self.world.node(place).is_none() {
            connection.session.note("loses its node");
            self.world.count("client lost its node");
            return false;
        }
        while connection.websocket.fill() {
            self.ready(connection);
            while let Some(incoming) = connection.websocket.next() {
                match incoming {
                    Incoming::Text(line) => match read_line(&line) {
                        Ok(Line::Said(said)) => connection.session.hear(said),
                        Ok(Line::Session(id)) => connection.session.set_id(id),
                        Err(()) => connection
                            .session
                            .violate(&format!("nobody asked for {line}")),
                    },
                    Incoming::Close(_) if self.world.explains_close(place) => {
                        connection.session.note("is closed");
                        self.world.count("closed");
                        return false;
                    }
                    Incoming::Close(reason) => {
                        connection.session.violate(&format!("is closed: {reason}"));
                        return false;
                    }
                    Incoming::CutOff => break,
                }
            }
            // A pong may have been written.
            self.ready(connection);
        }
        let is_finished = connection.websocket.socket().is_finished();
        if is_finished && self.world.explains_close(place) {
            connection.session.note("is cut off");
            self.world.count("cut off");
            return false;
        }
        if is_finished {
            connection.session.violate("is cut off");
            return false;
        }
        connection.session.is_answered_within(ANSWER)
    }
}

impl Visitor for Client {
    fn read(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let now = Instant::now();
        if connection.sleeps_until.is_some_and(|until| until > now) {
            self.connection = Some(connection);
            return;
        }
        connection.sleeps_until = None;
        if self.take(&mut connection) {
            self.connection = Some(connection);
        }
    }

    fn check_at_rest(&self) -> Vec<(usize, Member)> {
        let connection = self.connection.as_ref();
        connection.map_or_else(Vec::new, |connection| connection.session.check_at_rest())
    }
}
