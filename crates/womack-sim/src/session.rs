//! A session as its client knows it: channels, requests, and the promises that it was given.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use tokio::time::Instant;

use crate::{
    dialect::{Said, verb},
    events::Member,
    node::Place,
    oracle::Subscription,
    world::World,
};

/// A session as its client knows it. It knows nothing of sessions before it.
pub(crate) struct Session {
    name: String,
    /// The id of the client in server events and records.
    id: String,
    place: Place,
    /// Whether answers may come over another node, and be old when the way is troubled.
    roams: bool,
    world: Rc<World>,
    channels: BTreeMap<String, Subscription>,
    requests: BTreeMap<u64, Request>,
    last_request: u64,
    /// Promises that seem to be broken, while the session may be about to end for that.
    suspicions: RefCell<Option<Vec<String>>>,
}

/// A request that is not answered.
struct Request {
    subscribes: bool,
    channels: Vec<String>,
    asked: Instant,
    /// Whether a later request leaves one of the channels.
    is_undone: bool,
}

impl Session {
    /// A session of a node. `roams` tells whether its requests reach others as well.
    pub(crate) fn new(world: &Rc<World>, name: String, place: Place, roams: bool) -> Self {
        Self {
            name,
            id: String::new(),
            place,
            roams,
            world: world.clone(),
            channels: BTreeMap::new(),
            requests: BTreeMap::new(),
            last_request: 0,
            suspicions: RefCell::new(None),
        }
    }

    /// The client learns how it is called.
    pub(crate) fn set_id(&mut self, id: String) {
        self.id = id;
    }

    /// The client is about to ask for channels, or to leave them. Returns the request's number.
    pub(crate) fn ask(&mut self, subscribes: bool, channels: &[String]) -> u64 {
        self.last_request += 1;
        let number = self.last_request;
        let verb = verb(subscribes);
        self.note(&format!("{number}: {verb} {}", channels.join(" ")));
        self.world.step(verb);
        for name in channels {
            let channel = self.channels.entry(name.clone()).or_default();
            match subscribes {
                true => channel.ask(),
                false => channel.leave(number),
            }
        }
        if !subscribes {
            for request in self.requests.values_mut() {
                let mut names = request.channels.iter();
                request.is_undone |= names.any(|name| channels.contains(name));
            }
        }
        let request = Request {
            subscribes,
            channels: channels.to_vec(),
            asked: Instant::now(),
            is_undone: false,
        };
        self.requests.insert(number, request);
        number
    }

    /// Some of the channels that the client wants; if it wants none, any.
    pub(crate) fn choose_to_leave(&self, rng: &mut fastrand::Rng) -> Vec<String> {
        let channels = self.channels.iter();
        let wanted = channels.filter(|(_, channel)| channel.is_wanted());
        let mut wanted: Vec<_> = wanted.map(|(name, _)| name.clone()).collect();
        if wanted.is_empty() {
            wanted = choose(rng);
        }
        rng.shuffle(&mut wanted);
        wanted.truncate(rng.usize(1..=2));
        wanted
    }

    /// The server has said something about channels.
    pub(crate) fn hear(&mut self, said: Said) {
        match said {
            Said::Answer(number, answer) => self.answer(number, answer),
            Said::Message(channel, number) => self.message(&channel, number),
            Said::Gap {
                channels,
                from,
                to,
                is_rate_limit,
            } => self.gap(&channels, from, to, is_rate_limit),
            Said::Unsubscribed(channel) => self.unsubscribed(&channel),
        }
    }

    fn message(&mut self, channel: &str, number: u64) {
        self.note(&format!("{channel} brings {number}"));
        self.world.count("message");
        let known = self.channels.entry(channel.to_owned()).or_default();
        let received = known.receive(channel, number, &self.world.published());
        self.judge(received);
    }

    /// Redis refuses a channel in which the client was.
    fn unsubscribed(&mut self, name: &str) {
        self.note(&format!("is unsubscribed from {name}"));
        self.world.count("unsubscribed");
        let asks = |request: &Request| {
            request.subscribes && request.channels.iter().any(|channel| channel == name)
        };
        let requests = self.requests.iter();
        let asking = requests.filter(|(_, request)| asks(request));
        let numbers: Vec<_> = asking.map(|(number, _)| *number).collect();
        let channel = self.channels.entry(name.to_owned()).or_default();
        channel.end(&numbers);
    }

    fn gap(&mut self, channels: &[String], from: u64, to: u64, is_rate_limit: bool) {
        self.note(&format!("gap {from} to {to} in {}", channels.join(" ")));
        self.world
            .count(if is_rate_limit { "rate limit" } else { "gap" });
        if is_rate_limit && self.world.max_messages_per_second() == 0 {
            self.violate("messages were dropped, and there is no limit");
        }
        let wall = self.world.wall();
        let times = wall.meanings(from).into_iter().zip(wall.meanings(to));
        let times: Vec<_> = times.collect();
        for name in channels {
            let explains =
                |&(from, to): &(u64, u64)| self.world.explains_gap(self.place.node, name, from, to);
            if !is_rate_limit && !times.iter().any(explains) {
                self.violate(&format!(
                    "{name} had no reason for a gap from {from} to {to}"
                ));
            }
            let channel = self.channels.entry(name.clone()).or_default();
            times.iter().for_each(|&(from, to)| channel.tell(from, to));
        }
    }

    fn answer(&mut self, number: u64, answer: Result<(), String>) {
        let Some(request) = self.requests.remove(&number) else {
            return self.violate(&format!("{number} is answered twice"));
        };
        let text = answer.as_ref().err().map_or("ok", String::as_str);
        self.note(&format!("{number} is answered {text}"));
        self.world.count(text);
        if answer.is_err() && !self.may_refuse(&request) {
            self.violate(&format!("no reason to refuse {number}"));
        }
        for name in &request.channels {
            let floor = self.world.published().next(name);
            let channel = self.channels.entry(name.clone()).or_default();
            match (request.subscribes, answer.is_ok()) {
                (true, true) => {
                    channel.confirm(number, floor);
                    let is_old = self.roams && self.world.is_troubled();
                    if channel.is_promised() && !is_old {
                        self.world.check_live(self.place.node, name);
                    }
                }
                (true, false) => channel.refuse(number),
                (false, true) => channel.has_left(number),
                (false, false) => self.violate(&format!("{number} could not leave")),
            }
        }
    }

    fn may_refuse(&self, request: &Request) -> bool {
        let ago = request.asked.elapsed();
        let explains = |name: &String| self.world.explains_refusal(self.place.node, name, ago);
        // A node that closes its clients lets them into no channel any more.
        let is_going =
            self.world.node(self.place).is_none() || self.world.explains_close(self.place);
        let is_explained = request.is_undone || request.channels.iter().any(explains);
        !request.subscribes || is_going || is_explained
    }

    /// Looks for a request that has waited longer than `most`. False if there is one.
    pub(crate) fn is_answered_within(&self, most: Duration) -> bool {
        let mut requests = self.requests.iter();
        let late = requests.find(|(_, request)| request.asked.elapsed() > most);
        if let Some((number, _)) = late {
            self.violate(&format!("request {number} is not answered"));
        }
        late.is_none()
    }

    /// At rest: everything that was promised has come. Returns the channels that the client wants,
    /// each with the node of the session.
    pub(crate) fn check_at_rest(&self) -> Vec<(usize, Member)> {
        let mut wanted = Vec::new();
        for (name, channel) in &self.channels {
            if channel.is_promised() {
                let published = self.world.published();
                self.judge(channel.missing(name, published.next(name), &published));
            }
            if channel.is_wanted() {
                let member = Member {
                    session: self.id.clone(),
                    channel: name.clone(),
                };
                wanted.push((self.place.node, member));
            }
        }
        if let Some(number) = self.requests.keys().next() {
            self.violate(&format!("{number} is not answered at rest"));
        }
        wanted
    }

    fn judge(&self, kept: Result<(), String>) {
        if let Err(broken) = kept {
            self.violate(&broken);
        }
    }

    /// The place of the session's node.
    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn note(&self, text: &str) {
        self.world.note(format!("{}: {text}", self.name));
    }

    pub(crate) fn violate(&self, text: &str) {
        let text = format!("{}: {text}", self.name);
        match &mut *self.suspicions.borrow_mut() {
            Some(suspicions) => suspicions.push(text),
            None => self.world.violate(&text),
        }
    }

    /// From now on promises may be broken, if the session ends for that.
    pub(crate) fn suspect(&self) {
        *self.suspicions.borrow_mut() = Some(Vec::new());
    }

    /// Whether promises may be broken.
    pub(crate) fn is_suspected(&self) -> bool {
        self.suspicions.borrow().is_some()
    }

    /// The session has not ended. Returns whether nothing was broken since it was suspected to.
    pub(crate) fn acquit(&self) -> bool {
        let suspicions = self.suspicions.borrow_mut().take().unwrap_or_default();
        suspicions.iter().for_each(|text| self.world.violate(text));
        suspicions.is_empty()
    }
}

/// Some channels: many clients want the first.
pub(crate) fn choose(rng: &mut fastrand::Rng) -> Vec<String> {
    let count = rng.usize(1..=3);
    let mut channels: Vec<_> = (0..count)
        .map(|_| {
            let most = 1 << rng.u32(1..=5);
            format!("c{}", rng.u32(..most))
        })
        .collect();
    channels.sort();
    channels.dedup();
    channels
}
