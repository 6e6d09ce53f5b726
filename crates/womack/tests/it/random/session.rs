//! A session as its client sees it, and the promises that it was given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use womack_test_support::ticker::millis;

use super::story::{Fact, Story};
use super::subscription::{Member, Subscription};
use super::world::{Channel, Standing, TIMING, Violation, World};

/// How long the answers to two polls may arrive one after the other.
const MIXED: u64 = 3000;

/// One session, from its opening to its end.
pub(super) struct Session {
    world: Arc<World>,
    /// The client, its kind and how often it has come.
    name: String,
    /// The id by which server events name it; empty until it is known.
    pub(super) id: String,
    /// An injected reason for an end.
    pub(super) cause: Option<&'static str>,
    /// Until then answers to polls may have been taken in another order than they were sent: two
    /// GETs were under way, and the client cannot know which the server saw first.
    mixed_until: u64,
    /// The numbers that came meanwhile, which are looked at in their order later.
    mixed: Vec<(Channel, u64)>,
    channels: HashMap<Channel, Subscription>,
    requests: BTreeMap<u64, Request>,
    next: u64,
    story: Story,
}

/// A request that waits for its answer.
struct Request {
    sent: u64,
    channels: Vec<Channel>,
    subscribes: bool,
    /// A later request left one of the channels.
    is_undone: bool,
}

impl Session {
    pub(super) fn new(world: Arc<World>, name: String) -> Self {
        Self {
            world,
            name,
            id: String::new(),
            cause: None,
            mixed_until: 0,
            mixed: Vec::new(),
            channels: HashMap::new(),
            requests: BTreeMap::new(),
            next: 1,
            story: Story::default(),
        }
    }

    /// The session has its id.
    pub(super) fn began(&self) {
        self.world.began(&self.id, &self.name);
    }

    /// A subscription is asked for; returns the number of the request. A channel that is `fresh`
    /// is published on only when the server has announced this client.
    pub(super) fn subscribe(
        &mut self,
        now: u64,
        channels: &[Channel],
        (acked, fresh): (bool, bool),
    ) -> u64 {
        let number = self.request(now, channels, true, acked);
        for channel in channels {
            let known = self.channels.entry(channel.clone()).or_default();
            known.asks(acked, fresh);
        }
        number
    }

    /// Channels are left; returns the number of the request.
    pub(super) fn unsubscribe(&mut self, now: u64, channels: &[Channel], acked: bool) -> u64 {
        let number = self.request(now, channels, false, acked);
        for channel in channels {
            for request in self.requests.values_mut() {
                request.is_undone |= request.subscribes && request.channels.contains(channel);
            }
            let known = self.channels.entry(channel.clone()).or_default();
            known.leaves(number);
        }
        number
    }

    fn request(&mut self, now: u64, channels: &[Channel], subscribes: bool, acked: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        self.story.add(
            now,
            Fact::Asked {
                number,
                subscribes,
                acked,
                channels: channels.to_vec(),
            },
        );
        if acked {
            let request = Request {
                sent: now,
                channels: channels.to_vec(),
                subscribes,
                is_undone: false,
            };
            self.requests.insert(number, request);
        }
        number
    }

    /// A request was answered with `ok`, or with an error's code.
    pub(super) fn answered(&mut self, now: u64, number: u64, answer: Result<(), String>) {
        let fact = Fact::Answered {
            number,
            answer: answer.clone(),
        };
        self.story.add(now, fact);
        let Some(request) = self.requests.remove(&number) else {
            return self.violated(now, "answer to nothing", None, format!("to {number}"));
        };
        let word = if request.subscribes {
            "subscribe"
        } else {
            "unsubscribe"
        };
        let text = answer
            .as_ref()
            .map_or_else(Clone::clone, |()| "ok".to_owned());
        self.world.count("answers", format!("{word} {text}"));
        if let Err(code) = &answer {
            self.look_at_refusal(now, number, &request, code);
        }
        for channel in &request.channels {
            let floor = self.world.begun(channel) + 1;
            let known = self.channels.entry(channel.clone()).or_default();
            match &answer {
                Ok(()) if request.subscribes => known.is_live(number, floor),
                Ok(()) => known.has_left(number),
                Err(_) => known.is_refused(number),
            }
        }
    }

    /// Requests are refused when Redis was away, or because a later one undid them.
    fn look_at_refusal(&self, now: u64, number: u64, request: &Request, code: &str) {
        let is_explained = request.is_undone || self.world.is_disturbed(request.sent, now);
        if code != "unavailable" || !request.subscribes || !is_explained {
            let what = format!("request {number}: {code}, and Redis could be reached all the time");
            let channel = request.channels.first();
            self.violated(now, "refused without a cause", channel, what);
        }
    }

    /// A number came.
    pub(super) fn message(&mut self, now: u64, channel: &str, number: u64) {
        let channel: Channel = channel.into();
        self.story.add(
            now,
            Fact::Message {
                channel: channel.clone(),
                number,
            },
        );
        self.world.count("received", "messages");
        self.mixed.push((channel, number));
        self.look_at_messages(now);
    }

    /// Checks the numbers that came, unless they may still be mixed up.
    fn look_at_messages(&mut self, now: u64) {
        if now < self.mixed_until {
            return;
        }
        let are_mixed = self.mixed.len() > 1;
        let mut numbers = std::mem::take(&mut self.mixed);
        numbers.sort_unstable();
        for (channel, number) in numbers {
            self.look_at_message(now, &channel, number, are_mixed);
        }
    }

    fn look_at_message(&mut self, now: u64, channel: &Channel, number: u64, is_mixed: bool) {
        let known = self.channels.entry(channel.clone()).or_default();
        let (last, floor) = (known.last, known.floor);
        let (is_out, is_new) = (known.is_out && !is_mixed, number > last);
        known.last = last.max(number);
        if !is_new {
            let kind = if number == last { "twice" } else { "backwards" };
            return self.violated(now, kind, Some(channel), format!("{number} after {last}"));
        }
        if is_out {
            let what = format!("{number} came though unsubscribing was answered");
            self.violated(now, "message after leaving", Some(channel), what);
        }
        if let Some(floor) = floor {
            self.check_lost(now, channel, floor.max(last + 1)..number, "untold loss");
        }
    }

    /// Numbers that did not come: each must lie in a gap that was told.
    fn check_lost(
        &self,
        now: u64,
        channel: &Channel,
        numbers: std::ops::Range<u64>,
        kind: &'static str,
    ) {
        let Some(known) = self.channels.get(channel) else {
            return;
        };
        let mut lost = Vec::new();
        for number in numbers {
            match self.world.publication(channel, number) {
                Some(found) if !known.explains(found) => lost.push((number, found)),
                _ => self.world.count("lost in told gaps", "messages"),
            }
        }
        let (Some(first), Some(last)) = (lost.first(), lost.last()) else {
            return;
        };
        let what = format!(
            "{} numbers, {}–{}, published {}–{}, receivers {:?}; gaps told: {:?}",
            lost.len(),
            first.0,
            last.0,
            self.world.seconds(first.1.before),
            self.world.seconds(last.1.before),
            lost.iter()
                .map(|(_, found)| found.receivers.unwrap_or(-1))
                .collect::<BTreeSet<_>>(),
            known
                .told()
                .iter()
                .map(|&(from, to)| {
                    format!("{}–{}", self.world.seconds(from), self.world.seconds(to))
                })
                .collect::<Vec<_>>(),
        );
        self.violated(now, kind, Some(channel), what);
    }

    /// A gap was told.
    pub(super) fn gap(&mut self, now: u64, channels: &[String], from: u64, to: u64) {
        let channels: Vec<Channel> = channels.iter().map(|name| name.as_str().into()).collect();
        self.story.add(
            now,
            Fact::Gap {
                channels: channels.clone(),
                from,
                to,
            },
        );
        self.world.count("received", "gaps");
        for channel in &channels {
            if let Some(reason) = self.world.unjustified(channel, from, to) {
                self.violated(now, "gap without a cause", Some(channel), reason);
            }
            let known = self.channels.entry(channel.clone()).or_default();
            known.tells(from, to);
        }
    }

    /// Whether the session may not have been opened for this reason.
    pub(super) fn may_be_refused(&self, reason: &str) -> bool {
        self.world.may_refuse(reason)
    }

    /// Two polls are under way at a time.
    pub(super) fn mixes_polls(&mut self, now: u64) {
        self.mixed_until = now + MIXED;
    }

    /// Something that belongs into the story only.
    pub(super) fn note(&mut self, now: u64, text: &str) {
        self.story.add(now, Fact::Note(text.to_owned()));
    }

    /// The session has ended.
    pub(super) fn closed(&mut self, now: u64, reason: &str) {
        self.story.add(now, Fact::Note(format!("closed: {reason}")));
        let text = format!("{}: {reason}", self.cause.unwrap_or("no cause"));
        self.world.ended(&self.id, &text);
        let short: String = reason.chars().take(60).collect();
        self.world.count(
            "closes",
            format!("{}: {short}", self.cause.unwrap_or("no cause")),
        );
        if self.cause.is_none() {
            self.violated(now, "closed without a cause", None, reason.to_owned());
        }
    }

    /// Looks for promises whose time is over.
    pub(super) fn audit(&mut self, now: u64) {
        let slack = TIMING.slack + self.world.lag();
        let is_late = |request: &Request| now > request.sent + TIMING.subscribe + slack;
        let late = self.requests.iter().find(|(_, request)| is_late(request));
        if let Some((number, request)) = late {
            let (number, channel) = (*number, request.channels.first().cloned());
            self.requests.remove(&number);
            let what = format!("request {number}");
            self.violated(now, "no answer", channel.as_ref(), what);
        }
        if self.world.is_disturbed(now.saturating_sub(slack), now) {
            return;
        }
        if now < self.mixed_until {
            return;
        }
        self.look_at_messages(now);
        let live = self.channels.iter();
        let live =
            live.filter_map(|(channel, known)| Some((channel.clone(), known.floor?, known.last)));
        for (channel, floor, last) in live.collect::<Vec<_>>() {
            let newest = self
                .world
                .published_before(&channel, now.saturating_sub(slack));
            let from = floor.max(last + 1);
            if from <= newest {
                self.check_lost(now, &channel, from..newest + 1, "silence");
                if let Some(known) = self.channels.get_mut(&channel) {
                    known.floor = Some(newest + 1);
                }
            }
        }
    }

    /// How the session stands.
    pub(super) fn standing(&self) -> Standing {
        let is = |member| {
            let channels = self.channels.iter();
            channels.filter(move |(_, known)| known.member == member)
        };
        Standing {
            name: self.name.clone(),
            session: self.id.clone(),
            is_busy: self.id.is_empty() || !self.requests.is_empty(),
            member: is(Member::In)
                .map(|(channel, known)| (channel.clone(), known.last))
                .collect(),
            unsure: is(Member::Unsure)
                .map(|(channel, _)| channel.clone())
                .collect(),
            left: is(Member::Out)
                .map(|(channel, _)| channel.clone())
                .collect(),
        }
    }

    /// The fresh channels that the session is in.
    pub(super) fn fresh(&self) -> Vec<Channel> {
        let mut fresh: Vec<_> = self
            .channels
            .iter()
            .filter(|(channel, known)| channel.starts_with("fresh-") && known.is_asked_for())
            .map(|(channel, _)| channel.clone())
            .collect();
        fresh.sort_unstable();
        fresh
    }

    /// Tells the story of a channel for a promise that somebody else found broken.
    pub(super) fn tell(&self, channel: &Channel) {
        self.violated(millis(), "as seen by clients", Some(channel), String::new());
    }

    /// Tells the story of a broken promise.
    pub(super) fn violated(
        &self,
        now: u64,
        kind: &'static str,
        channel: Option<&Channel>,
        what: String,
    ) {
        let story = self
            .story
            .tell(&self.world, now, channel.map(|channel| &**channel));
        let (name, id, at) = (&self.name, &self.id, self.world.seconds(now));
        let channel = channel.map_or("", |channel| channel);
        self.world.violated(Violation {
            kind,
            at: now,
            story: format!("{at} {kind}: {name} ({id}) {channel}: {what}\n{story}"),
        });
    }
}
