//! The checks at rest: everybody has everything, and Redis and the server hold nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use womack_test_support::commander::Commander;
use womack_test_support::metrics::Metrics;
use womack_test_support::ticker::millis;

use super::client::shared;
use super::events::Events;
use super::publisher::publish;
use super::world::{Channel, Phase, Standing, TIMING, Violation, World};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long clients may take to tell their stories.
const TELLING: Duration = Duration::from_secs(1);
/// Clients that tell their stories when something is wrong.
const STORIES: usize = 3;
/// Milliseconds that a session lives without a word of its client: one that goes between two polls
/// leaves it behind.
const SESSION: u64 = 8000;
/// The prefix of channels at Redis.
const KEY: &str = "womack:ns:default:";

/// Checks at rest.
pub(super) struct Rest {
    pub(super) world: Arc<World>,
    pub(super) events: Arc<Events>,
    pub(super) server: SocketAddr,
    pub(super) nodes: Vec<SocketAddr>,
    pub(super) grace: Duration,
}

impl Rest {
    /// Everybody stays: all answers have come, what is published arrives, Redis is subscribed to
    /// what clients want and server events say who is there.
    pub(super) async fn of_all(&self) {
        self.world.phase.send_replace(Phase::Rest);
        let idle = || async { self.world.standing().iter().all(|found| !found.is_busy) };
        let answers = TIMING.subscribe + 2 * TIMING.slack + TIMING.restore;
        let busy = || {
            self.world
                .standing()
                .into_iter()
                .filter(|found| found.is_busy)
        };
        self.holds("requests are answered", answers, idle, || {
            busy().map(|found| format!("{found:?}")).collect()
        })
        .await;
        // Losses by outages may be told until then.
        let calm = || async { !self.world.is_disturbed(millis(), millis()) };
        self.holds("links are whole", 2 * TIMING.restore, calm, Vec::new)
            .await;
        let last = self.publish_all().await;
        self.holds(
            "everything arrives",
            0,
            || async { self.missing(&last).is_empty() },
            || self.with_stories(self.missing(&last)),
        )
        .await;
        self.redis_has(|| self.wanted()).await;
        let agree = || async { self.disagreements().is_empty() };
        let explain = || self.with_stories(self.disagreements());
        self.holds("server events agree", 0, agree, explain).await;
    }

    /// Has clients tell their stories of channels; returns the rest.
    fn with_stories(&self, found: Vec<(String, Channel, String)>) -> Vec<String> {
        for (name, channel, _) in found.iter().take(STORIES) {
            self.world.ask(name, channel);
        }
        let lines = found.into_iter();
        lines
            .map(|(name, channel, text)| format!("{name}, {channel}: {text}"))
            .collect()
    }

    /// Everybody leaves: nothing is left anywhere.
    pub(super) async fn of_nobody(&self) {
        self.world.phase.send_replace(Phase::Leave);
        let gone = || async { self.world.standing().is_empty() };
        self.holds("clients leave", 6000, gone, || {
            self.world
                .standing()
                .iter()
                .map(|found| format!("{found:?}"))
                .collect()
        })
        .await;
        let gauges = || async { self.gauges().await.is_empty() };
        self.holds("gauges are zero", SESSION, gauges, Vec::new)
            .await;
        let left = self.gauges().await;
        if !left.is_empty() {
            self.violated("gauges at rest", left);
        }
        self.redis_has(|| (BTreeSet::new(), BTreeSet::new())).await;
        let silent = || async { self.events.all_in().is_empty() };
        self.holds("server events end", 0, silent, || {
            let places = self.events.all_in().into_iter();
            let told = places.map(|(session, channel)| {
                format!("{channel}: {session}, {}", self.world.owner(&session))
            });
            told.collect()
        })
        .await;
    }

    /// Waits for a condition, a slack longer than `millis`; then it is a violation.
    async fn holds<F: Future<Output = bool>>(
        &self,
        kind: &'static str,
        millis: u64,
        condition: impl Fn() -> F,
        explain: impl Fn() -> Vec<String>,
    ) -> bool {
        let start = Instant::now();
        loop {
            if condition().await {
                return true;
            }
            let most = millis + 2 * TIMING.slack + self.world.lag();
            if start.elapsed() > Duration::from_millis(most) {
                let explained = explain();
                if !explained.is_empty() {
                    self.violated(kind, explained);
                    // Clients tell their stories meanwhile.
                    sleep(TELLING).await;
                }
                return false;
            }
            sleep(LOOK).await;
        }
    }

    fn violated(&self, kind: &'static str, lines: Vec<String>) {
        let now = millis();
        let text: String = lines.iter().map(|line| format!("    {line}\n")).collect();
        let story = format!(
            "{} at rest, not so: {kind}:\n{text}",
            self.world.seconds(now)
        );
        self.world.violated(Violation {
            kind,
            at: now,
            story,
        });
    }

    /// Publishes once more on each shared channel; returns the numbers.
    async fn publish_all(&self) -> BTreeMap<Channel, u64> {
        let mut last = BTreeMap::new();
        for channel in shared() {
            let mut commander = Commander::to(self.nodes[self.world.link_of(&channel)]);
            publish(&self.world, &mut commander, "PUBLISH", &channel).await;
            last.insert(channel.clone(), self.world.begun(&channel));
        }
        last
    }

    /// Members of channels that have not got the last number: the client, the channel and why.
    fn missing(&self, last: &BTreeMap<Channel, u64>) -> Vec<(String, Channel, String)> {
        let mut missing = Vec::new();
        for client in self.world.standing() {
            for (channel, number) in &client.member {
                let Some(last) = last.get(channel) else {
                    continue;
                };
                if number < last {
                    let text = format!("has {number}, not {last}");
                    missing.push((client.name.clone(), channel.clone(), text));
                }
            }
        }
        missing
    }

    /// The Redis channels that must be subscribed, and those that may.
    fn wanted(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let standing = self.world.standing();
        let names = |channels: Vec<&Channel>| {
            channels
                .iter()
                .map(|channel| format!("{KEY}{channel}"))
                .collect()
        };
        let of =
            |pick: fn(&Standing) -> Vec<&Channel>| names(standing.iter().flat_map(pick).collect());
        (
            of(|found| found.member.keys().collect()),
            of(|found| found.unsure.iter().collect()),
        )
    }

    /// Waits until Redis has exactly the subscriptions that are wanted, each once.
    async fn redis_has(&self, wanted: impl Fn() -> (BTreeSet<String>, BTreeSet<String>)) {
        let differences = || async {
            let (must, may) = wanted();
            let mut found = Vec::new();
            for shards in [false, true] {
                if !shards || self.nodes.len() > 1 {
                    found.extend(self.differences(&must, &may, shards).await);
                }
            }
            found
        };
        let agree = || async { differences().await.is_empty() };
        let grace = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let most = SESSION.saturating_add(grace);
        self.holds("Redis has what is wanted", most, agree, Vec::new)
            .await;
        let left = differences().await;
        if !left.is_empty() {
            self.violated("subscriptions at Redis", left);
        }
    }

    async fn differences(
        &self,
        must: &BTreeSet<String>,
        may: &BTreeSet<String>,
        shards: bool,
    ) -> Vec<String> {
        let (names, counts) = if shards {
            ("SHARDCHANNELS", "SHARDNUMSUB")
        } else {
            ("CHANNELS", "NUMSUB")
        };
        let (mut found, mut differences) = (BTreeSet::new(), Vec::new());
        for node in &self.nodes {
            let mut commander = Commander::to(*node);
            let pattern = format!("{KEY}*");
            let words = ["PUBSUB", names, &pattern];
            let here: Vec<String> = commander.run(&words).await.unwrap_or_default();
            let mut words = vec!["PUBSUB", counts];
            words.extend(here.iter().map(String::as_str));
            let here: Vec<(String, i64)> = commander.run(&words).await.unwrap_or_default();
            for (name, count) in here {
                if count != 1 {
                    differences.push(format!("{name} has {count} subscriptions ({counts})"));
                }
                found.insert(name);
            }
        }
        for name in must.difference(&found) {
            differences.push(format!("{name} is wanted and not subscribed ({names})"));
        }
        for name in found
            .iter()
            .filter(|name| !must.contains(*name) && !may.contains(*name))
        {
            differences.push(format!("{name} is subscribed and not wanted ({names})"));
        }
        differences
    }

    /// The places where server events and clients disagree.
    fn disagreements(&self) -> Vec<(String, Channel, String)> {
        let mut found = Vec::new();
        for client in self.world.standing() {
            let session = &client.session;
            let is_in = |channel: &Channel| self.events.is_in(session, channel);
            let unheard = client.member.keys().filter(|channel| !is_in(channel));
            let unheard = unheard.map(|channel| (channel, "in it, events say it is not"));
            let stale = client.left.iter().filter(|channel| is_in(channel));
            let stale = stale.map(|channel| (channel, "not in it, events say it is"));
            for (channel, text) in unheard.chain(stale) {
                found.push((
                    client.name.clone(),
                    channel.clone(),
                    format!("{session} is {text}"),
                ));
            }
        }
        found
    }

    /// The gauges that are not zero.
    async fn gauges(&self) -> Vec<String> {
        let metrics = Metrics::of(self.server).await;
        let names = [
            "womack_connections",
            "womack_subscriptions",
            "womack_client_queue_bytes",
            "womack_redis_channels",
            "womack_redis_backlog_bytes",
            "womack_relay_under_way",
            "womack_relay_tunnels",
        ];
        let values = names.iter().map(|name| (name, metrics.sum(name, "")));
        let left = values.filter(|(_, value)| *value != 0.0);
        left.map(|(name, value)| format!("{name} is {value}"))
            .collect()
    }
}
