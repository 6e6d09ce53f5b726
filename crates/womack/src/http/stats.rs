//! `/stats` and `/explain`: what the dashboard and `womack top` and `womack explain` are fed with.

use std::{borrow::Cow, collections::BTreeMap};

use form_urlencoded::parse;
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::task::spawn_blocking;
use womack_engine::Transport;
use womack_ledger::metrics::Reading;
use womack_proto::CloseReason;

use super::{
    Body, Http,
    answers::{plain, respond},
};
use crate::admin::{ChannelLoad, Explanation, Survey};

/// Figures of this process. Those that only grow are for the reader to compare with what they were
/// a moment ago: rates and percentiles are of the reader's own interval.
#[derive(Serialize)]
struct Stats<'a> {
    node: String,
    version: &'static str,
    uptime_seconds: f64,
    /// Why new clients are not welcome.
    unready: Option<Cow<'static, str>>,
    connections: BTreeMap<&'static str, i64>,
    opened: u64,
    closed: BTreeMap<&'static str, u64>,
    subscriptions: i64,
    client_events: u64,
    messages: u64,
    messages_unwanted: u64,
    messages_rejected: u64,
    sent_bytes: u64,
    socket_writes: u64,
    client_queue_bytes: i64,
    delivery: Histogram,
    shards: Vec<ShardStats>,
    redis: RedisStats,
    /// The channels with most to do, if the reader may know their names.
    channels: Option<ChannelStats<'a>>,
}

/// How many times there were up to each bound, and beyond the last.
#[derive(Serialize)]
struct Histogram {
    bounds_seconds: Vec<f64>,
    counts: Vec<u64>,
    sum_seconds: f64,
}

#[derive(Serialize)]
struct ShardStats {
    connections: i64,
    deliveries: u64,
    commands: u64,
    batches: u64,
    queue_depth: usize,
    cpu_seconds: f64,
    lag: Histogram,
}

#[derive(Serialize)]
struct RedisStats {
    connected: bool,
    gaps: u64,
    gap_seconds: f64,
    channels: i64,
}

#[derive(Serialize)]
struct ChannelStats<'a> {
    /// How long ago they were counted.
    age_seconds: f64,
    /// How many there are, each counted in each shard that has it.
    count: usize,
    busiest: Vec<ChannelLine<'a>>,
}

#[derive(Serialize)]
struct ChannelLine<'a> {
    /// As clients call it.
    channel: &'a str,
    redis_channel: &'a str,
    subscribers: u64,
    messages: u32,
}

impl From<Reading> for Histogram {
    fn from(Reading { sum, buckets }: Reading) -> Self {
        let (mut bounds_seconds, counts): (Vec<_>, Vec<_>) = buckets.into_iter().unzip();
        // The last is infinite, which JSON cannot say.
        bounds_seconds.pop();
        Self {
            bounds_seconds,
            counts,
            sum_seconds: sum,
        }
    }
}

impl Http {
    /// Answers `/stats`; `names` says whether the reader may know the names of channels.
    pub(super) async fn stats(&self, names: bool) -> Response<Body> {
        let survey = if names {
            let surveyor = self.surveyor.clone();
            spawn_blocking(move || surveyor.survey()).await.ok()
        } else {
            None
        };
        json(&self.figures(survey.as_deref()))
    }

    fn figures<'a>(&'a self, survey: Option<&'a Survey>) -> Stats<'a> {
        let womack_engine::Metrics {
            clients,
            messages,
            deliveries,
            redis,
            shards,
            ..
        } = &*self.server.metrics.engine;
        let transports =
            Transport::ALL.map(|transport| (transport.as_str(), clients.open(transport)));
        let closed = CloseReason::ALL
            .iter()
            .map(|&reason| (reason.as_str(), clients.closed_so_far(reason)));
        let shards = shards
            .iter()
            .zip(&self.shards)
            .map(|(shard, queue)| ShardStats {
                connections: shard.connections.get(),
                deliveries: shard.deliveries.get(),
                commands: shard.commands.get(),
                batches: shard.batches.get(),
                queue_depth: queue.len(),
                cpu_seconds: shard.cpu_seconds.get(),
                lag: shard.lag.read().into(),
            });
        Stats {
            node: self.node(),
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.server.metrics.uptime().as_secs_f64(),
            unready: self.status.ready().err(),
            connections: transports.into(),
            opened: clients.opened_so_far(),
            closed: closed.collect(),
            subscriptions: clients.subscriptions.get(),
            client_events: clients.events.get(),
            messages: messages.received.get(),
            messages_unwanted: messages.unwanted.get(),
            messages_rejected: messages.rejected_so_far(),
            sent_bytes: deliveries.sent_bytes.get(),
            socket_writes: deliveries.writes.get(),
            client_queue_bytes: deliveries.client_queue_bytes.get(),
            delivery: deliveries.seconds.read().into(),
            shards: shards.collect(),
            redis: RedisStats {
                connected: redis.connected.get() == 1,
                gaps: redis.gaps.get(),
                gap_seconds: redis.gap_seconds.get(),
                channels: redis.channels.get(),
            },
            channels: survey.map(|survey| ChannelStats {
                age_seconds: survey.at.elapsed().as_secs_f64(),
                count: survey.channels,
                busiest: survey.busiest.iter().map(|load| self.line(load)).collect(),
            }),
        }
    }

    fn line<'a>(
        &self,
        ChannelLoad {
            redis_channel,
            load,
        }: &'a ChannelLoad,
    ) -> ChannelLine<'a> {
        let registry = &self.server.engine.registry;
        let mut names = registry
            .iter()
            .filter_map(|(id, _)| registry.channel(id, redis_channel));
        ChannelLine {
            channel: names.next().unwrap_or(redis_channel),
            redis_channel,
            subscribers: load.subscribers,
            messages: load.messages,
        }
    }

    /// Answers `/explain?channel=NAME`; `names` says whether the reader may know who is there.
    pub(super) async fn explain(&self, query: &str, names: bool) -> Response<Body> {
        if !names {
            return plain(
                StatusCode::FORBIDDEN,
                "the names of channels are told at --admin-listen, or on this machine\n",
            );
        }
        let mut pairs = parse(query.as_bytes());
        let Some((_, channel)) = pairs.find(|(name, _)| name == "channel") else {
            return plain(StatusCode::BAD_REQUEST, "channel=NAME is missing\n");
        };
        let (server, surveyor) = (self.server.clone(), self.surveyor.clone());
        let (node, unready) = (self.node(), self.status.ready().err());
        let channel = channel.into_owned();
        let explained = spawn_blocking(move || {
            Explanation::new(&channel, node, unready.as_deref(), &server, &surveyor)
        });
        match explained.await {
            Ok(explanation) => json(&explanation),
            Err(error) => {
                tracing::error!(%error, "a channel could not be explained");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "no explanation\n")
            }
        }
    }

    /// The name of this process, as server events have it.
    fn node(&self) -> String {
        format!("{:08x}", self.server.engine.sids.node)
    }
}

fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(text) => respond(StatusCode::OK, "application/json", text),
        Err(error) => {
            tracing::error!(%error, "figures cannot be written as JSON");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "no figures\n")
        }
    }
}
