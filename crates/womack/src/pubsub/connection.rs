//! One connection to one Redis server: subscriptions go out, messages come in.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ahash::RandomState;
use tokio::{
    select,
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    task::yield_now,
    time::{MissedTickBehavior, interval, timeout},
};
use womack_proto::redis::{Confirmation, Reply, Verb};

use super::{
    Command, Event, Loss, Standing, Wish,
    backlog::Backlog,
    owed::{Answer, Owed},
    socket::Socket,
    wishes::Wishes,
};
use crate::backend::{Address, Backend, REPLY_TIMEOUT, Unreachable, slot};

/// Channels in one command.
const CHANNELS_PER_COMMAND: usize = 1024;
/// Time between pings. What was published before the last that was answered has been received.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// After how long without a word the connection is given up.
const SILENCE: Duration = Duration::from_secs(5);

/// A connection that stands.
pub(super) struct Connection {
    socket: Socket,
    owed: Owed,
    wishes: Wishes,
    backlog: Arc<Backlog>,
    /// What is to go into the backlog.
    events: Vec<Event>,
    /// What was published before has been received.
    received_to: SystemTime,
    settled: bool,
    /// Whether it brings what stands.
    stands: bool,
    /// There if it is a node of a cluster.
    shards: Option<Shards>,
}

/// What a node of a cluster has besides.
struct Shards {
    /// Channels that are live here, and their aliases.
    live: HashMap<Arc<str>, Vec<Arc<str>>, RandomState>,
    /// Takes wishes that another node has to fulfil.
    moved: UnboundedSender<Vec<Wish>>,
}

impl Connection {
    /// Connects and logs in. To a node of a cluster belongs who takes the wishes that another node
    /// has to fulfil.
    pub(super) async fn open(
        backend: &Backend,
        address: &Address,
        backlog: Arc<Backlog>,
        moved: Option<UnboundedSender<Vec<Wish>>>,
    ) -> Result<Self, Unreachable> {
        let mut connection = Self {
            socket: Socket::new(backend.open(address).await?),
            owed: Owed::default(),
            wishes: Wishes::default(),
            backlog,
            events: Vec::new(),
            received_to: SystemTime::now(),
            settled: false,
            stands: false,
            shards: moved.map(|moved| Shards {
                live: HashMap::default(),
                moved,
            }),
        };
        let login = backend.login();
        if let Some(password) = &login.password {
            let names = login.user.iter().chain([password]).map(String::as_str);
            connection.socket.command("AUTH", names);
        }
        // Answered by whatever is a Redis, and by no one who has still to log in.
        connection.socket.command("PING", [].into_iter());
        let greeting = timeout(REPLY_TIMEOUT, connection.greet(address)).await;
        greeting.map_err(|_| Unreachable::Late(address.clone()))??;
        Ok(connection)
    }

    async fn greet(&mut self, address: &Address) -> Result<(), Unreachable> {
        loop {
            match self.socket.reply() {
                Ok(Some(Reply::Pong)) => return Ok(()),
                Ok(Some(Reply::Refused(reason))) => {
                    return Err(Unreachable::Refused(address.clone(), reason));
                }
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(_) => return Err(Unreachable::NotRedis(address.clone())),
            }
            match self.socket.turn(true).await {
                Ok(0) => {
                    let ended = io::ErrorKind::UnexpectedEof.into();
                    return Err(Unreachable::Io(address.clone(), ended));
                }
                Ok(_) => {}
                Err(error) => return Err(Unreachable::Io(address.clone(), error)),
            }
        }
    }

    /// Asks for what stands, and for what is wished.
    pub(super) fn begin(&mut self, standing: &Standing, wishes: Wishes) {
        self.wishes = wishes;
        self.stand(standing);
    }

    /// Asks for what is subscribed whoever is there.
    pub(super) fn stand(&mut self, standing: &Standing) {
        let Standing { channels, patterns } = standing;
        if !channels.is_empty() {
            self.ask(Verb::Subscribe, channels.iter().map(AsRef::as_ref));
        }
        if !patterns.is_empty() {
            let patterns = patterns.iter().map(String::as_str);
            self.ask(Verb::SubscribePattern, patterns);
        }
        let left = channels.len() + patterns.len();
        if left > 0 {
            self.stands = true;
            self.owed.push(Answer::Standing { left });
        }
    }

    /// Serves until the connection is lost, or until nobody wants it; returns why.
    pub(super) async fn serve(&mut self, commands: &mut UnboundedReceiver<Command>) -> String {
        let backlog = self.backlog.clone();
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.ask_for_wishes();
            self.settle();
            self.backlog.add(&mut self.events);
            let may_read = backlog.has_room();
            select! {
                read = self.socket.turn(may_read) => {
                    match read {
                        Ok(0) => return "redis closed the connection".to_owned(),
                        Ok(_) => {}
                        Err(error) => return error.to_string(),
                    }
                    if let Err(reason) = self.understand() {
                        self.backlog.add(&mut self.events);
                        return reason;
                    }
                    self.backlog.add(&mut self.events);
                    if !backlog.is_empty() {
                        // Who takes it may be on this thread.
                        yield_now().await;
                    }
                }
                () = backlog.room(), if !may_read => self.socket.excuse(),
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return "nobody wants the connection".to_owned(),
                },
                _ = pings.tick() => {
                    if may_read && self.socket.silence() > SILENCE {
                        return "redis does not answer".to_owned();
                    }
                    self.socket.command("PING", [].into_iter());
                    self.owed.push(Answer::Pong(SystemTime::now()));
                }
            }
        }
    }

    /// What is lost with the connection, and what it was asked and did not do.
    pub(super) fn end(self, reason: String) -> (Loss, Wishes) {
        let mut wishes = self.wishes;
        wishes.add(self.owed.into_wishes());
        // What stands at one node is for whoever, and its loss is everybody's.
        let live = self
            .shards
            .filter(|_| !self.stands)
            .map(|shards| shards.live);
        let loss = Loss {
            channels: live.map(|live| live.into_keys().collect()),
            since: self.received_to,
            reason,
        };
        (loss, wishes)
    }

    /// Whether everything that was asked for was live at some time.
    pub(super) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Does what is wanted while the connection stands.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Ask(wishes) => self.wishes.add(wishes),
            Command::GiveUp(wishes) => self.give_up(wishes),
            Command::Restored => {}
            Command::Stand(standing) => self.stand(&standing),
        }
    }

    /// Ends subscriptions, but for those that were never asked for.
    fn give_up(&mut self, wishes: Vec<Wish>) {
        let mut names = Vec::new();
        let mut by_slot: BTreeMap<u16, Vec<Arc<str>>> = BTreeMap::new();
        for wish in wishes {
            if self.wishes.take_back(&wish.channel) {
                continue;
            }
            if let Some(shards) = &mut self.shards {
                let is_live = shards.live.remove(&wish.channel).is_some();
                if !is_live && !self.owed.forget(&wish.channel) {
                    continue;
                }
                let slot = slot(&wish.channel);
                by_slot.entry(slot).or_default().push(wish.channel.clone());
            }
            names.extend(wish.names().cloned());
        }
        for channels in by_slot.values() {
            // Nobody waits for the answer, which may be that the slot has moved.
            self.ask(Verb::UnsubscribeShard, channels.iter().map(AsRef::as_ref));
        }
        self.unsubscribe(&names, Vec::new(), Vec::new());
    }

    fn unsubscribe(&mut self, names: &[Arc<str>], lost: Vec<Arc<str>>, elsewhere: Vec<Wish>) {
        for names in names.chunks(CHANNELS_PER_COMMAND) {
            self.ask(Verb::Unsubscribe, names.iter().map(AsRef::as_ref));
        }
        if !names.is_empty() {
            let left = names.len();
            self.owed.push(Answer::Unsubscribed {
                left,
                lost,
                since: self.received_to,
                elsewhere,
            });
        }
    }

    /// Asks for some of what is wished, if few enough commands are under way. What is wished
    /// meanwhile is gathered for the next.
    fn ask_for_wishes(&mut self) {
        let most = if self.shards.is_some() { 0 } else { 1 };
        while !self.wishes.is_empty() && self.owed.under_way() <= most {
            let wishes = self.wishes.take(CHANNELS_PER_COMMAND);
            let names: Vec<_> = wishes.iter().flat_map(Wish::names).cloned().collect();
            self.ask(Verb::Subscribe, names.iter().map(AsRef::as_ref));
            let left = names.len();
            if self.shards.is_none() {
                self.owed.push(Answer::Subscribed { left, wishes });
                continue;
            }
            // They are live with their shard's subscription, which comes after this one.
            self.owed.push(Answer::Subscribed {
                left,
                wishes: Vec::new(),
            });
            let mut by_slot: BTreeMap<u16, Vec<Wish>> = BTreeMap::new();
            for wish in wishes {
                by_slot.entry(slot(&wish.channel)).or_default().push(wish);
            }
            for (slot, wishes) in by_slot {
                let channels = wishes.iter().map(|wish| &*wish.channel);
                self.ask(Verb::SubscribeShard, channels);
                let left = wishes.len();
                self.owed
                    .push(Answer::SubscribedShard { left, slot, wishes });
            }
        }
    }

    /// Says once that everything that was asked for is live.
    fn settle(&mut self) {
        if !self.settled && self.wishes.is_empty() && self.owed.under_way() == 0 {
            self.settled = true;
            if self.shards.is_none() {
                self.events.push(Event::Settled);
            }
        }
    }

    fn ask<'a>(&mut self, verb: Verb, names: impl Iterator<Item = &'a str>) {
        self.socket.command(verb.command(), names);
    }

    /// Makes events of what came.
    fn understand(&mut self) -> Result<(), String> {
        let mut moved_away = Vec::new();
        loop {
            let reply = self.socket.reply().map_err(|error| error.to_string())?;
            let Some(reply) = reply else {
                break;
            };
            match reply {
                Reply::Message(message) => self.events.push(Event::Message(message)),
                Reply::Confirmed(confirmation) => self.confirmed(&confirmation, &mut moved_away),
                Reply::Pong => {
                    if let Some(sent) = self.owed.pong() {
                        self.received_to = sent;
                    }
                }
                Reply::Done | Reply::Text(_) => {}
                Reply::Refused(reason) => self.refused(reason)?,
            }
        }
        self.move_away(moved_away);
        Ok(())
    }

    /// A subscription has begun or ended.
    fn confirmed(&mut self, confirmation: &Confirmation, moved_away: &mut Vec<Arc<str>>) {
        let verb = confirmation.verb;
        if verb == Verb::UnsubscribeShard {
            let name = str::from_utf8(&confirmation.name).unwrap_or_default();
            let shards = self.shards.as_ref();
            // Nobody gave it up: its slot belongs to another node now.
            if let Some((channel, _)) = shards.and_then(|found| found.live.get_key_value(name)) {
                moved_away.push(channel.clone());
            }
            return;
        }
        if let Some(done) = self.owed.confirmed(verb) {
            self.done(done);
        }
    }

    /// A command was answered to its end.
    fn done(&mut self, done: Answer) {
        let channels = |wishes: &[Wish]| wishes.iter().map(|wish| wish.channel.clone()).collect();
        match done {
            Answer::Subscribed { wishes, .. } if !wishes.is_empty() => {
                self.events.push(Event::Live(channels(&wishes)));
            }
            Answer::SubscribedShard { wishes, .. } if !wishes.is_empty() => {
                self.events.push(Event::Live(channels(&wishes)));
                if let Some(shards) = &mut self.shards {
                    let wishes = wishes.into_iter();
                    let live = wishes.map(|wish| (wish.channel, wish.aliases));
                    shards.live.extend(live);
                }
            }
            Answer::Unsubscribed {
                lost,
                since,
                elsewhere,
                ..
            } => {
                if !lost.is_empty() {
                    self.events.push(Event::Lost(Loss {
                        channels: Some(lost),
                        since,
                        reason: "their slots have moved to another node".to_owned(),
                    }));
                }
                if let Some(shards) = &self.shards
                    && !elsewhere.is_empty()
                {
                    // Who takes them ends after this connection.
                    shards.moved.send(elsewhere).ok();
                }
            }
            _ => {}
        }
    }

    /// The slots of live channels have moved to another node. They are lost when their other
    /// subscriptions have ended, so that no message comes from two nodes.
    fn move_away(&mut self, channels: Vec<Arc<str>>) {
        let Some(shards) = &mut self.shards else {
            return;
        };
        let mut names = Vec::new();
        for channel in &channels {
            let aliases = shards.live.remove(channel).unwrap_or_default();
            names.push(channel.clone());
            names.extend(aliases);
        }
        self.unsubscribe(&names, channels, Vec::new());
    }

    /// A command was refused. That a node has not the slot is no reason to leave it.
    fn refused(&mut self, reason: String) -> Result<(), String> {
        let (code, rest) = reason.split_once(' ').unwrap_or((&reason, ""));
        let moved: Option<u16> = match code {
            "MOVED" => rest.split(' ').next().and_then(|slot| slot.parse().ok()),
            "CLUSTERDOWN" | "TRYAGAIN" | "ASK" => None,
            _ => return Err(reason),
        };
        // Otherwise it was about a channel that was given up.
        let Some(wishes) = self.owed.refused(moved) else {
            return Ok(());
        };
        let names: Vec<_> = wishes.iter().flat_map(Wish::names).cloned().collect();
        self.unsubscribe(&names, Vec::new(), wishes);
        Ok(())
    }
}
