//! The record of a run that all actors write and that every check reads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use womack_test_support::faulty_link::{FaultyLink, Outage, OutageKind};
use womack_test_support::ticker::millis;

use super::slots;

/// The server's `--events-key`; a cluster keeps everything below it where its part in braces is.
pub(super) const EVENTS_KEY: &str = "{womack}:event";

/// The name of a channel, without the key.
pub(super) type Channel = Arc<str>;

/// Milliseconds within which things must have happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// How long a request may wait for Redis (`--subscribe-timeout-seconds`).
    pub(super) subscribe: u64,
    /// How old the last good answer of Redis may be when a link is lost: an interval of pings, a
    /// round trip, and scheduling.
    pub(super) ping: u64,
    /// How long it may take until everything is live again after an outage.
    pub(super) restore: u64,
    /// How late anything may be on a busy machine.
    pub(super) slack: u64,
    /// A stall of that length may end a link.
    pub(super) silence: u64,
}

/// The timing of all runs.
pub(super) const TIMING: Timing = Timing {
    subscribe: 3000,
    ping: 2500,
    restore: 4000,
    slack: 3000,
    silence: 4000,
};

/// The present activity of clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Anything.
    Chaos,
    /// Nothing, and they stay.
    Rest,
    /// They leave for good.
    Leave,
}

/// A published number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publication {
    /// Redis got it not before that Unix millisecond.
    pub(super) before: u64,
    /// And not after that; `None` while PUBLISH is under way.
    pub(super) after: Option<u64>,
    /// The receivers that Redis counted; `None` if it did not answer.
    pub(super) receivers: Option<i64>,
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    /// Its kind, which is counted.
    pub(super) kind: &'static str,
    /// The Unix millisecond at which it was found.
    pub(super) at: u64,
    /// The story, ready to be read.
    pub(super) story: String,
}

/// A client that is there, as it sees itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) name: String,
    pub(super) session: String,
    /// The client waits for an answer, or is about to come or go.
    pub(super) is_busy: bool,
    /// Channels that it is in; the last number of each.
    pub(super) member: HashMap<Channel, u64>,
    /// Channels that it may be in.
    pub(super) unsure: HashSet<Channel>,
    /// Channels that it was in and has left.
    pub(super) left: HashSet<Channel>,
}

#[derive(Default)]
struct Record {
    publications: HashMap<Channel, Vec<Publication>>,
    counts: BTreeMap<(&'static str, String), u64>,
    violations: Vec<Violation>,
    standing: BTreeMap<u64, Standing>,
    /// All sessions that ever were: their names, and how they ended.
    sessions: HashMap<String, String>,
    /// Stories that clients are asked to tell.
    asked: Vec<(u64, Channel)>,
}

/// The record.
pub(super) struct World {
    pub(super) start: u64,
    pub(super) links: Vec<FaultyLink>,
    pub(super) phase: watch::Sender<Phase>,
    record: Mutex<Record>,
    fresh: AtomicUsize,
    /// Whether new clients may be refused because there is no memory for them.
    refuses: bool,
    /// How late this process was lately, in milliseconds.
    lag: AtomicU64,
}

impl World {
    /// The world behind these links, in which new clients are refused at times if it `refuses`.
    pub(super) fn new(links: Vec<FaultyLink>, refuses: bool) -> Self {
        Self {
            start: millis(),
            links,
            phase: watch::Sender::new(Phase::Chaos),
            record: Mutex::default(),
            fresh: AtomicUsize::new(0),
            refuses,
            lag: AtomicU64::new(0),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel that nobody ever had.
    pub(super) fn fresh(&self) -> Channel {
        format!("fresh-{}", self.fresh.fetch_add(1, Ordering::Relaxed)).into()
    }

    /// The link through which a channel comes.
    pub(super) fn link_of(&self, channel: &str) -> usize {
        match self.links.len() {
            1 => 0,
            nodes => slots::node_of(&format!("womack:ns:default:{channel}"), nodes),
        }
    }

    /// Whether a client that has not come in yet may be refused for this reason.
    pub(super) fn may_refuse(&self, reason: &str) -> bool {
        self.refuses && reason.contains("503")
    }

    /// Counts something for the report.
    pub(super) fn count(&self, group: &'static str, name: impl Into<String>) {
        *self
            .record()
            .counts
            .entry((group, name.into()))
            .or_default() += 1;
    }

    /// All counts.
    pub(super) fn counts(&self) -> BTreeMap<(&'static str, String), u64> {
        self.record().counts.clone()
    }

    /// Notes a broken promise.
    pub(super) fn violated(&self, violation: Violation) {
        self.record().violations.push(violation);
    }

    /// All broken promises.
    pub(super) fn violations(&self) -> Vec<Violation> {
        self.record().violations.clone()
    }

    /// A number is about to be published.
    pub(super) fn begin(&self, channel: &Channel) -> u64 {
        let mut record = self.record();
        let publications = record.publications.entry(channel.clone()).or_default();
        publications.push(Publication {
            before: millis(),
            after: None,
            receivers: None,
        });
        publications.len() as u64
    }

    /// A number was published, or Redis did not say so.
    pub(super) fn end(&self, channel: &Channel, number: u64, receivers: Option<i64>) {
        let mut record = self.record();
        let publications = record.publications.get_mut(channel);
        let publication = publications.and_then(|all| all.get_mut(number as usize - 1));
        if let Some(publication) = publication {
            publication.after = Some(millis() + 1);
            publication.receivers = receivers;
        }
    }

    /// How many numbers of a channel were begun.
    pub(super) fn begun(&self, channel: &str) -> u64 {
        let record = self.record();
        record.publications.get(channel).map_or(0, Vec::len) as u64
    }

    /// A number's publication.
    pub(super) fn publication(&self, channel: &str, number: u64) -> Option<Publication> {
        let record = self.record();
        let publications = record.publications.get(channel)?;
        publications.get(number.checked_sub(1)? as usize).copied()
    }

    /// The newest number that was published before `time`; 0 if there is none.
    pub(super) fn published_before(&self, channel: &str, time: u64) -> u64 {
        let record = self.record();
        let Some(publications) = record.publications.get(channel) else {
            return 0;
        };
        let is_older = |found: &Publication| found.after.is_some_and(|after| after < time);
        let newest = publications.iter().rposition(is_older);
        newest.map_or(0, |place| place as u64 + 1)
    }

    /// All outages of one link, or of all links.
    pub(super) fn outages(&self, link: Option<usize>) -> Vec<Outage> {
        let links = self.links.iter().enumerate();
        let chosen = links.filter(|(place, _)| link.is_none_or(|link| link == *place));
        chosen.flat_map(|(_, link)| link.outages()).collect()
    }

    /// Whether something may have been unavailable between `from` and `to` through an outage.
    pub(super) fn is_disturbed(&self, from: u64, to: u64) -> bool {
        let outages = self.outages(None);
        outages.iter().any(|outage| {
            let end = outage
                .to
                .map_or(u64::MAX, |end| end + TIMING.restore + self.lag());
            outage.from <= to && from <= end
        })
    }

    /// Why a gap was told that is not justified; `None` if it is.
    pub(super) fn unjustified(&self, channel: &str, from: u64, to: u64) -> Option<String> {
        let own = self.outages(Some(self.link_of(channel)));
        let is_a_cause = |outage: &&Outage| {
            let end = outage.to.unwrap_or(u64::MAX);
            let length = end.saturating_sub(outage.from);
            let breaks = outage.kind != OutageKind::Stall || length >= TIMING.silence;
            breaks && outage.from <= to && from <= end
        };
        if !own.iter().any(|outage| is_a_cause(&outage)) {
            return Some("the link stood all the time".to_owned());
        }
        let mut all = self.outages(None);
        all.sort_by_key(|outage| outage.from);
        let late = TIMING.restore + self.lag();
        let mut reached = from;
        for outage in all {
            if outage.from.saturating_sub(TIMING.ping + self.lag()) <= reached {
                let end = outage.to.map_or(u64::MAX, |end| end + late);
                reached = reached.max(end);
            }
        }
        (reached < to).then(|| {
            let (from, to) = (self.seconds(from), self.seconds(to));
            format!(
                "{from}–{to} is longer than outages explain, which end with {}",
                self.seconds(reached)
            )
        })
    }

    /// A client says how it stands; `None` when it is gone.
    pub(super) fn stands(&self, client: u64, standing: Option<Standing>) {
        let mut record = self.record();
        match standing {
            Some(standing) => {
                record.standing.insert(client, standing);
            }
            None => {
                record.standing.remove(&client);
            }
        }
    }

    /// All clients that are there.
    pub(super) fn standing(&self) -> Vec<Standing> {
        self.record().standing.values().cloned().collect()
    }

    /// Asks a client for its story of a channel.
    pub(super) fn ask(&self, name: &str, channel: &Channel) {
        let mut record = self.record();
        let client = record.standing.iter().find(|(_, found)| found.name == name);
        if let Some(client) = client.map(|(client, _)| *client) {
            record.asked.push((client, channel.clone()));
        }
    }

    /// The channels whose story a client is asked for.
    pub(super) fn asked(&self, client: u64) -> Vec<Channel> {
        let mut record = self.record();
        let asked = record.asked.extract_if(.., |(of, _)| *of == client);
        asked.map(|(_, channel)| channel).collect()
    }

    /// A session has its id.
    pub(super) fn began(&self, session: &str, name: &str) {
        let mut record = self.record();
        record.sessions.insert(session.to_owned(), name.to_owned());
    }

    /// A session has ended.
    pub(super) fn ended(&self, session: &str, how: &str) {
        let at = self.seconds(millis());
        if let Some(name) = self.record().sessions.get_mut(session) {
            name.push_str(&format!(", {at} {how}"));
        }
    }

    /// The client of a session, and how it ended.
    pub(super) fn owner(&self, session: &str) -> String {
        let record = self.record();
        record.sessions.get(session).cloned().unwrap_or_default()
    }

    /// Milliseconds by which this process was late lately.
    pub(super) fn lag(&self) -> u64 {
        self.lag.load(Ordering::Relaxed)
    }

    /// Notes how late this process is; what was before fades.
    pub(super) fn note_lag(&self, late: u64) {
        let faded = self.lag() * 99 / 100;
        self.lag.store(faded.max(late), Ordering::Relaxed);
    }

    /// A time as seconds of the run.
    pub(super) fn seconds(&self, at: u64) -> String {
        let millis = i128::from(at) - i128::from(self.start);
        format!("{:.3}s", millis as f64 / 1000.0)
    }
}

/// The node, of some, at which the server publishes its events.
pub(super) fn node_of_events(nodes: usize) -> usize {
    slots::node_of("womack", nodes)
}
