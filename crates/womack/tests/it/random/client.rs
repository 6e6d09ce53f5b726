//! Impatient clients: each opens one session after another and does what its temper says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use womack_test_support::ticker::millis;
use womack_test_support::wire::{Incoming, Revision, Wire};

use super::dialect::{self, Said};
use super::plan::{Kind, Operation, SHARED, Temper};
use super::session::Session;
use super::world::{Channel, Phase, TIMING, World};

/// How often a client looks whether it is owed something.
const AUDIT: Duration = Duration::from_millis(250);
/// How often a client of Engine.IO 3 pings, in audits.
const PING_AUDITS: u64 = 6;
/// How long a handshake may take, besides a subscription.
const HANDSHAKE: u64 = 10_000;

/// One client.
pub(super) struct Client {
    world: Arc<World>,
    server: SocketAddr,
    number: u64,
    kind: Kind,
    temper: Temper,
    shared: Vec<Channel>,
    phase: watch::Receiver<Phase>,
    /// How many sessions it has had.
    sessions: u64,
}

/// A session and its transport.
struct Visit {
    kind: Kind,
    session: Session,
    wire: Wire,
    opened: u64,
    is_joined: bool,
    is_upgraded: bool,
    /// The id of the transport's session.
    sid: String,
    /// The request that an event stream's opening answers, and its channels.
    opening: Option<u64>,
    /// When a client that said goodbye leaves whatever happens.
    gone: Option<Instant>,
}

impl Client {
    pub(super) fn new(
        world: Arc<World>,
        server: SocketAddr,
        number: u64,
        (seed, keeps_polls): (u64, bool),
    ) -> Self {
        let kind = Kind::ALL[number as usize % Kind::ALL.len()];
        Self {
            phase: world.phase.subscribe(),
            server,
            number,
            kind,
            temper: Temper::of(seed, number, kind, keeps_polls),
            shared: shared(),
            world,
            sessions: 0,
        }
    }

    /// Comes and goes until all leave.
    pub(super) async fn run(mut self) {
        loop {
            // At rest, clients that are away stay away.
            let phase = *self.phase.borrow_and_update();
            match phase {
                Phase::Chaos => {
                    self.visit().await;
                    self.world.stands(self.number, None);
                    sleep(self.temper.pause() / 4).await;
                }
                // The sender lives as long as the clients.
                Phase::Rest => drop(self.phase.changed().await),
                Phase::Leave => return,
            }
        }
    }

    /// One session from its beginning to its end.
    async fn visit(&mut self) {
        self.sessions += 1;
        let mut visit = self.open();
        let mut audits = interval(AUDIT);
        audits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut audited = 0;
        let stay = self.temper.stay();
        let mut next = Instant::now() + self.temper.pause();
        let end = Instant::now() + stay;
        loop {
            let may_act = *self.phase.borrow() == Phase::Chaos && visit.gone.is_none();
            let is_ending = self.kind == Kind::Events && visit.is_joined;
            tokio::select! {
                biased;
                incoming = visit.wire.next() => {
                    if visit.hear(incoming) {
                        return;
                    }
                }
                _ = audits.tick() => {
                    audited += 1;
                    visit.audit(audited);
                    self.world.stands(self.number, Some(visit.standing()));
                    for channel in self.world.asked(self.number) {
                        visit.session.tell(&channel);
                    }
                    if *self.phase.borrow() == Phase::Leave && visit.gone.is_none() {
                        visit.say_goodbye("leaves for good");
                    }
                    if visit.gone.is_some_and(|gone| gone < Instant::now()) {
                        return;
                    }
                }
                () = sleep_until(next), if may_act && visit.is_joined && !is_ending => {
                    next = Instant::now() + self.temper.pause();
                    if self.act(&mut visit) {
                        return;
                    }
                }
                () = sleep_until(end), if may_act && is_ending => {
                    self.world.count("operations", "end a stream");
                    return;
                }
            }
        }
    }

    fn open(&mut self) -> Visit {
        let (server, now) = (self.server, millis());
        let name = format!("{:?}-{}/{}", self.kind, self.number, self.sessions);
        let mut session = Session::new(self.world.clone(), name);
        self.world.count("sessions", format!("{:?}", self.kind));
        let mut opening = None;
        let upgrade = self.temper.upgrade();
        let wire = match self.kind {
            Kind::Socket4 => Wire::websocket(server, "/socket.io/?EIO=4&transport=websocket"),
            Kind::Socket3 => Wire::websocket(server, "/socket.io/?EIO=3&transport=websocket"),
            Kind::Polling4 => Wire::polling(server, Revision::Four, None),
            Kind::Polling3 => Wire::polling(server, Revision::Three, None),
            Kind::Upgrade4 => Wire::polling(server, Revision::Four, Some(upgrade)),
            Kind::Upgrade3 => Wire::polling(server, Revision::Three, Some(upgrade)),
            Kind::LegacySocket => Wire::legacy_websocket(server),
            Kind::LegacyPolling => Wire::polling(server, Revision::Legacy, None),
            Kind::Lines => Wire::websocket(server, "/ws"),
            Kind::Events => {
                let places = self.temper.stream();
                let channels = self.names(&places);
                opening = Some(session.subscribe(now, &channels, (true, false)));
                let query = channels.iter().map(|name| format!("channel={name}"));
                Wire::events(server, &query.collect::<Vec<_>>().join("&"))
            }
        };
        Visit {
            kind: self.kind,
            session,
            wire,
            opened: now,
            is_joined: false,
            is_upgraded: false,
            sid: String::new(),
            opening,
            gone: None,
        }
    }

    fn names(&self, places: &[usize]) -> Vec<Channel> {
        places
            .iter()
            .map(|place| self.shared[*place].clone())
            .collect()
    }

    /// Does something. True if the client is gone by that.
    fn act(&mut self, visit: &mut Visit) -> bool {
        let operation = self.temper.next(visit.session.fresh().len());
        if visit.is_upgraded && operation.is_of_polls() {
            return false;
        }
        let word = format!("{operation:?}");
        let word = word.split([' ', '{']).next().unwrap_or_default().to_owned();
        self.world.count("operations", word);
        match operation {
            Operation::Subscribe { channels, acked } => {
                visit.request(true, &self.names(&channels), acked);
            }
            Operation::Unsubscribe { channels, acked } => {
                visit.request(false, &self.names(&channels), acked);
            }
            Operation::Flicker { channel, times } => {
                let channels = self.names(&[channel]);
                for _ in 0..times {
                    visit.request(true, &channels, true);
                    visit.request(false, &channels, false);
                }
                visit.request(true, &channels, true);
            }
            Operation::Fresh { acked } => visit.request(true, &[self.world.fresh()], acked),
            Operation::LeaveFresh => {
                if let Some(channel) = self.temper.choose(&visit.session.fresh()) {
                    visit.request(false, std::slice::from_ref(channel), true);
                }
            }
            Operation::AbortPoll => visit.disturb("aborted a poll", Wire::abort_poll),
            Operation::RepeatPoll => visit.disturb("repeated a poll", Wire::repeat_poll),
            Operation::Disconnect => visit.say_goodbye("disconnected"),
            // Sessions of 0.9 without a poll are kept for a minute.
            Operation::Abort if self.kind == Kind::LegacyPolling => {
                visit.say_goodbye("disconnected");
            }
            Operation::Abort => {
                self.world.ended(&visit.session.id, "aborted");
                return true;
            }
        }
        false
    }
}

impl Visit {
    /// Takes what came. True at the end.
    fn hear(&mut self, incoming: Incoming) -> bool {
        let now = millis();
        let said = match incoming {
            Incoming::Open => {
                if let Some(number) = self.opening.take() {
                    self.session.answered(now, number, Ok(()));
                } else if matches!(self.kind, Kind::Socket4) {
                    self.wire.send("40".to_owned());
                }
                return false;
            }
            Incoming::Upgraded => {
                self.session.note(now, "upgraded");
                self.is_upgraded = true;
                return false;
            }
            Incoming::Closed(reason) => {
                self.closed(now, &reason);
                return true;
            }
            Incoming::Packet(packet) => {
                let said = dialect::read(self.kind, &packet);
                if said == Said::Unknown {
                    self.session.violated(now, "strange packet", None, packet);
                }
                said
            }
            Incoming::Event(name, data) => dialect::event(&name, &data),
        };
        self.take(now, said);
        false
    }

    fn take(&mut self, now: u64, said: Said) {
        match said {
            Said::Opened(sid) => {
                self.sid = sid;
                if matches!(self.kind, Kind::Polling4 | Kind::Upgrade4) {
                    self.wire.send("40".to_owned());
                }
            }
            Said::Joined(id) => {
                self.session.id = id.unwrap_or_else(|| self.sid.clone());
                self.is_joined = true;
                self.session.began();
            }
            Said::Answer(number, answer) => self.session.answered(now, number, answer),
            Said::Message(channel, number) => self.session.message(now, &channel, number),
            Said::Gap(channels, from, to) => self.session.gap(now, &channels, from, to),
            Said::Ping(pong) => self.wire.send(pong.to_owned()),
            Said::Goodbye => self.session.note(now, "the server ends the session"),
            Said::Nothing | Said::Unknown => {}
        }
    }

    fn closed(&mut self, now: u64, reason: &str) {
        if !self.is_joined && self.session.may_be_refused(reason) {
            self.opening = None;
            self.session.cause = Some("refused for memory");
        }
        if let Some(number) = self.opening.take() {
            // The answer to an event stream that cannot be is its status.
            let code = match reason {
                "status 503" => "unavailable",
                other => other,
            };
            self.session.answered(now, number, Err(code.to_owned()));
            self.session.cause = Some("not opened");
        }
        self.session.closed(now, reason);
    }

    fn request(&mut self, subscribes: bool, channels: &[Channel], acked: bool) {
        let now = millis();
        // Lines are always answered, and what is refused is left again.
        let acked = acked || self.kind == Kind::Lines;
        let number = match subscribes {
            true => {
                let fresh = channels.iter().all(|channel| channel.starts_with("fresh-"));
                self.session.subscribe(now, channels, (acked, fresh))
            }
            false => self.session.unsubscribe(now, channels, acked),
        };
        self.wire.send(dialect::request(
            self.kind, number, subscribes, acked, channels,
        ));
    }

    fn disturb(&mut self, cause: &'static str, how: fn(&Wire)) {
        let now = millis();
        self.session.note(now, cause);
        self.session.mixes_polls(now);
        self.session.cause = Some(cause);
        how(&self.wire);
    }

    fn say_goodbye(&mut self, cause: &'static str) {
        self.session.note(millis(), cause);
        self.session.cause = Some(cause);
        for packet in dialect::goodbye(self.kind) {
            self.wire.send((*packet).to_owned());
        }
        self.wire.finish();
        self.gone = Some(Instant::now() + Duration::from_secs(5));
    }

    fn standing(&self) -> super::world::Standing {
        let mut standing = self.session.standing();
        standing.is_busy |= self.gone.is_some() || self.opening.is_some();
        standing
    }

    fn audit(&mut self, number: u64) {
        let now = millis();
        let pings = matches!(self.kind, Kind::Socket3 | Kind::Polling3 | Kind::Upgrade3);
        if pings && self.is_joined && self.gone.is_none() && number.is_multiple_of(PING_AUDITS) {
            self.wire.send("2".to_owned());
        }
        if self.gone.is_some() {
            return;
        }
        self.session.audit(now);
        if !self.is_joined && self.opening.is_none() && now > self.opened + HANDSHAKE + TIMING.slack
        {
            self.session
                .violated(now, "no handshake", None, String::new());
            self.opened = now;
        }
    }
}

/// The channels that many clients share.
pub(super) fn shared() -> Vec<Channel> {
    (0..SHARED)
        .map(|number| format!("c{number}").into())
        .collect()
}
