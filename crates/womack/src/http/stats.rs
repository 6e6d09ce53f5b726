//! `/stats` and `/explain`: what the dashboard and `womack top` and `womack explain` are fed with.

use std::{borrow::Cow, time::Instant};

use form_urlencoded::parse;
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::task::spawn_blocking;
use womack_engine::Transport;
use womack_proto::CloseReason;

use super::{
    answers::{plain, respond},
    body::Body,
    context::Http,
};
use crate::admin::{
    ChannelLoad, Explanation, Survey,
    stats::{
        ChannelLine, ChannelStats, ClientStats, DeliveryStats, HotChannel, MessageStats,
        NamespaceStats, ProcessStats, RedisStats, ShardStats, Stats,
    },
};

impl Http {
    /// Answers `/stats`. Only an operator is told the names of channels, and why the server is not
    /// ready.
    pub(super) async fn stats(&self, is_operator: bool) -> Response<Body> {
        let survey = if is_operator {
            let surveyor = self.surveyor.clone();
            spawn_blocking(move || surveyor.survey()).await.ok()
        } else {
            None
        };
        let mut figures = self.figures(survey.as_deref());
        if let Some(reason) = figures.process.unready.as_mut().filter(|_| !is_operator) {
            *reason = Cow::Borrowed("not ready");
        }
        json(&figures)
    }

    fn figures(&self, survey: Option<&Survey>) -> Stats {
        let womack_engine::Metrics {
            messages,
            deliveries,
            redis,
            ..
        } = &*self.server.metrics.engine;
        Stats {
            process: ProcessStats {
                node: self.node(),
                version: env!("CARGO_PKG_VERSION").into(),
                uptime_seconds: self.server.metrics.uptime().as_secs_f64(),
                unready: self.status.ready().err(),
            },
            clients: self.client_stats(),
            messages: MessageStats {
                received: messages.received.get(),
                unwanted: messages.unwanted.get(),
                rejected: messages.rejected_so_far(),
            },
            delivery: DeliveryStats {
                sent_bytes: deliveries.sent_bytes.get(),
                socket_writes: deliveries.writes.get(),
                client_queue_bytes: deliveries.client_queue_bytes.get(),
                seconds: deliveries.seconds.read().into(),
            },
            shards: self.shard_stats(),
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
                hot: self.hot_channels(),
            }),
            namespaces: match survey {
                Some(_) => self.namespace_stats(),
                None => Vec::new(),
            },
        }
    }

    fn client_stats(&self) -> ClientStats {
        let clients = &self.server.metrics.engine.clients;
        let connections =
            Transport::ALL.map(|transport| (transport.as_str().into(), clients.open(transport)));
        let closed = CloseReason::ALL
            .iter()
            .map(|&reason| (reason.as_str().into(), clients.closed_so_far(reason)));
        ClientStats {
            connections: connections.into(),
            opened: clients.opened_so_far(),
            closed: closed.collect(),
            subscriptions: clients.subscriptions.get(),
            client_events: clients.events.get(),
        }
    }

    fn shard_stats(&self) -> Vec<ShardStats> {
        let shards = &self.server.metrics.engine.shards;
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
        shards.collect()
    }

    fn namespace_stats(&self) -> Vec<NamespaceStats> {
        let metrics = &self.server.metrics.engine.namespaces;
        let namespaces = self.server.engine.registry.iter().map(|(_, entry)| {
            let counters = metrics.of(&entry.path);
            NamespaceStats {
                path: entry.path.clone(),
                messages: counters.messages.get(),
                message_bytes: counters.bytes.get(),
                dropped: counters.dropped.get(),
            }
        });
        namespaces.collect()
    }

    fn hot_channels(&self) -> Vec<HotChannel> {
        let busy = self.server.engine.busy_channels(Instant::now());
        let hot = busy.iter().map(|busy| HotChannel {
            channel: self.client_name(&busy.redis_channel).to_owned(),
            redis_channel: busy.redis_channel.to_string(),
            subscribers: self.surveyor.load(&busy.redis_channel).subscribers,
            messages_per_second: busy.messages_per_second,
            bytes_per_second: busy.bytes_per_second,
        });
        hot.collect()
    }

    /// The name that clients have for a Redis channel.
    fn client_name<'a>(&self, redis_channel: &'a str) -> &'a str {
        let registry = &self.server.engine.registry;
        let mut names = registry
            .iter()
            .filter_map(|(id, _)| registry.channel(id, redis_channel));
        names.next().unwrap_or(redis_channel)
    }

    fn line(
        &self,
        ChannelLoad {
            redis_channel,
            load,
        }: &ChannelLoad,
    ) -> ChannelLine {
        ChannelLine {
            channel: self.client_name(redis_channel).to_owned(),
            redis_channel: redis_channel.to_string(),
            subscribers: load.subscribers,
            messages: load.messages,
        }
    }

    /// Answers `/explain?channel=NAME`; only an operator may know who is there.
    pub(super) async fn explain(&self, query: &str, is_operator: bool) -> Response<Body> {
        if !is_operator {
            return plain(
                StatusCode::FORBIDDEN,
                "the names of channels are told at --admin-listen, or to a program on the server's \
                 machine that asks http://localhost without a proxy\n",
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
