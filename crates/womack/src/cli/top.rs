//! `womack top`: the channels with most to do.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde::Serialize;
use tokio::time::sleep;

use super::admin::Admins;
use crate::{admin::stats::Stats, config::settings::Seconds, error::Error};

/// The shortest time between two readings: servers count anew about as often.
const SHORTEST: Duration = Duration::from_secs(1);
/// Goes to the top left and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// What is shown, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Shown {
    /// Show it once and end
    #[arg(long)]
    once: bool,
    /// Write JSON, one line for each showing
    #[arg(long)]
    json: bool,
    /// What comes first
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Channels that are shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    lines: usize,
    /// Seconds between two showings, at least 1
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    interval: Seconds,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Sort {
    #[default]
    Messages,
    Subscribers,
}

/// What all servers had to say at one moment.
struct Reading {
    at: Instant,
    nodes: Vec<Stats>,
}

/// All servers together, between two readings.
#[derive(Debug, PartialEq, Serialize)]
struct Showing {
    nodes: usize,
    clients: i64,
    deliveries_per_second: f64,
    /// Messages that came to the server that got most of them.
    messages_per_second: f64,
    channels: Vec<Line>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Line {
    channel: String,
    redis_channel: String,
    subscribers: u64,
    messages_per_second: f64,
}

/// Shows until it is ended, or once.
///
/// # Errors
/// A server does not answer, or does not tell the names of channels.
pub(super) async fn top(shown: &Shown, at: &Admins) -> Result<(), Error> {
    let interval = shown.interval.0.max(SHORTEST);
    let mut before = read(at).await?;
    loop {
        sleep(interval).await;
        let now = read(at).await?;
        let showing = compare(&before, &now, shown);
        let text = if shown.json {
            serde_json::to_string(&showing)? + "\n"
        } else {
            written(&showing, !shown.once && io::stdout().is_terminal())
        };
        let mut out = io::stdout();
        // A reader that has enough ends the command.
        if out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
            || shown.once
        {
            return Ok(());
        }
        before = now;
    }
}

async fn read(at: &Admins) -> Result<Reading, Error> {
    let mut nodes = Vec::new();
    for url in &at.admin {
        let body = url.get_ok("/stats").await?;
        let stats: Stats = serde_json::from_slice(&body)?;
        if stats.channels.is_none() {
            return Err(Error::Io(io::Error::other(format!(
                "{url} does not tell the names of channels: give the address of --admin-listen"
            ))));
        }
        nodes.push(stats);
    }
    Ok(Reading {
        at: Instant::now(),
        nodes,
    })
}

fn compare(before: &Reading, now: &Reading, shown: &Shown) -> Showing {
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    let (mut deliveries, mut messages) = (0.0, 0.0_f64);
    let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
    for node in &now.nodes {
        // Another process at the same address has counted from 0.
        let old = before
            .nodes
            .iter()
            .find(|old| old.process.node == node.process.node);
        let rate = |now: u64, old: Option<u64>, seconds: f64| {
            let more = old.map_or(0, |old| now.saturating_sub(old));
            more as f64 / seconds.max(SHORTEST.as_secs_f64() / 10.0)
        };
        // Channels were counted some time before they were read.
        let counted = seconds + old.map_or(0.0, Stats::age_seconds) - node.age_seconds();
        deliveries += rate(node.deliveries(), old.map(Stats::deliveries), seconds);
        messages = messages.max(rate(
            node.messages.received,
            old.map(|old| old.messages.received),
            seconds,
        ));
        for channel in node.busiest() {
            let old = old.and_then(|old| {
                let mut channels = old.busiest();
                channels.find(|old| old.redis_channel == channel.redis_channel)
            });
            let old = old.map(|old| old.messages.into());
            let rate = rate(channel.messages.into(), old, counted);
            let line = lines.entry(&channel.redis_channel).or_insert_with(|| Line {
                channel: channel.channel.clone(),
                redis_channel: channel.redis_channel.clone(),
                subscribers: 0,
                messages_per_second: 0.0,
            });
            line.subscribers += channel.subscribers;
            // Each node with subscribers gets every message.
            line.messages_per_second = line.messages_per_second.max(rate);
        }
    }
    let mut channels: Vec<Line> = lines.into_values().collect();
    channels.sort_by_key(|line| {
        let milli_messages = (line.messages_per_second * 1000.0) as u64;
        Reverse(match shown.sort {
            Sort::Messages => (milli_messages, line.subscribers),
            Sort::Subscribers => (line.subscribers, milli_messages),
        })
    });
    channels.truncate(shown.lines);
    Showing {
        nodes: now.nodes.len(),
        clients: now
            .nodes
            .iter()
            .flat_map(|node| node.clients.connections.values())
            .sum(),
        deliveries_per_second: deliveries,
        messages_per_second: messages,
        channels,
    }
}

fn written(showing: &Showing, clears: bool) -> String {
    let mut text = if clears {
        CLEAR.to_owned()
    } else {
        String::new()
    };
    text += &format!(
        "nodes {}   clients {}   deliveries/s {:.0}   messages/s {:.1}\n\n{:>10} {:>12}  channel\n",
        showing.nodes,
        showing.clients,
        showing.deliveries_per_second,
        showing.messages_per_second,
        "clients",
        "messages/s",
    );
    for line in &showing.channels {
        // A channel's name may be anything: what a terminal would obey is written as it is read.
        text += &format!(
            "{:>10} {:>12.1}  {}\n",
            line.subscribers,
            line.messages_per_second,
            line.channel.escape_debug(),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::stats::{
        ChannelLine, ChannelStats, ClientStats, MessageStats, ProcessStats, ShardStats,
    };

    fn reading(at: Instant, nodes: &[(&str, u32, u64)]) -> Reading {
        let nodes = nodes.iter().map(|&(node, messages, subscribers)| Stats {
            process: ProcessStats {
                node: node.to_owned(),
                ..ProcessStats::default()
            },
            clients: ClientStats {
                connections: [("websocket".into(), subscribers as i64)].into(),
                ..ClientStats::default()
            },
            messages: MessageStats {
                received: messages.into(),
                ..MessageStats::default()
            },
            shards: vec![ShardStats {
                deliveries: u64::from(messages) * subscribers,
                ..ShardStats::default()
            }],
            channels: Some(ChannelStats {
                age_seconds: 0.1,
                count: 1,
                busiest: vec![ChannelLine {
                    channel: "a\x1b".to_owned(),
                    redis_channel: "k:a\x1b".to_owned(),
                    subscribers,
                    messages,
                }],
            }),
            ..Stats::default()
        });
        Reading {
            at,
            nodes: nodes.collect(),
        }
    }

    #[test]
    fn nodes_are_added_up_and_messages_are_not() {
        let now = Instant::now();
        let shown = Shown {
            once: true,
            json: false,
            sort: Sort::Messages,
            lines: 5,
            interval: Seconds(SHORTEST),
        };
        let before = reading(now, &[("x", 10, 2), ("y", 4, 1), ("old", 9, 1)]);
        let later = now + Duration::from_secs(2);
        let after = reading(later, &[("x", 30, 2), ("y", 24, 1), ("new", 9, 4)]);
        let showing = compare(&before, &after, &shown);
        assert_eq!((showing.nodes, showing.clients), (3, 7));
        assert_eq!(showing.deliveries_per_second, 30.0);
        assert_eq!(showing.messages_per_second, 10.0);
        assert_eq!(showing.channels.len(), 1);
        assert_eq!(showing.channels[0].subscribers, 7);
        assert_eq!(showing.channels[0].messages_per_second, 10.0);
        let text = written(&showing, false);
        assert!(
            text.contains("         7         10.0  a\\u{1b}\n"),
            "{text}"
        );
    }
}
