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
use crate::{
    admin::stats::{NamespaceStats, Stats},
    config::settings::Seconds,
    error::Error,
};

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
    namespaces: Vec<NamespaceLine>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Line {
    channel: String,
    redis_channel: String,
    subscribers: u64,
    messages_per_second: f64,
    /// Bytes of payloads; known of the channels that bring most messages.
    bytes_per_second: Option<f64>,
    deliveries_per_second: f64,
}

/// A namespace, as the server has it that got most of its messages.
#[derive(Debug, PartialEq, Serialize)]
struct NamespaceLine {
    namespace: String,
    messages_per_second: f64,
    bytes_per_second: f64,
    /// Messages beyond `--max-messages-per-second`.
    dropped_per_second: f64,
}

/// What one server says of a channel.
struct Seen {
    channel: String,
    subscribers: u64,
    messages_per_second: f64,
    bytes_per_second: Option<f64>,
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
    let mut namespaces: BTreeMap<&str, NamespaceLine> = BTreeMap::new();
    for node in &now.nodes {
        // Another process at the same address has counted from 0.
        let old = before
            .nodes
            .iter()
            .find(|old| old.process.node == node.process.node);
        // Channels were counted some time before they were read.
        let counted = seconds + old.map_or(0.0, Stats::age_seconds) - node.age_seconds();
        deliveries += rate(node.deliveries(), old.map(Stats::deliveries), seconds);
        messages = messages.max(rate(
            node.messages.received,
            old.map(|old| old.messages.received),
            seconds,
        ));
        for (redis_channel, seen) in seen(node, old, counted) {
            let line = lines.entry(redis_channel).or_insert_with(|| Line {
                channel: seen.channel.clone(),
                redis_channel: redis_channel.to_owned(),
                subscribers: 0,
                messages_per_second: 0.0,
                bytes_per_second: None,
                deliveries_per_second: 0.0,
            });
            line.subscribers += seen.subscribers;
            // Each node with subscribers gets every message.
            line.messages_per_second = line.messages_per_second.max(seen.messages_per_second);
            let bytes = [line.bytes_per_second, seen.bytes_per_second];
            line.bytes_per_second = bytes.into_iter().flatten().reduce(f64::max);
            line.deliveries_per_second += seen.messages_per_second * seen.subscribers as f64;
        }
        add_namespaces(&mut namespaces, node, old, seconds);
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
        namespaces: namespaces.into_values().collect(),
    }
}

/// How much a counter has grown in a second since it was read before.
fn rate(now: u64, old: Option<u64>, seconds: f64) -> f64 {
    let more = old.map_or(0, |old| now.saturating_sub(old));
    more as f64 / seconds.max(SHORTEST.as_secs_f64() / 10.0)
}

/// What a server says of its channels: of those that it has counted, and of those that brought most
/// messages in the last second, which may be new.
fn seen<'a>(node: &'a Stats, old: Option<&Stats>, seconds: f64) -> BTreeMap<&'a str, Seen> {
    let mut found = BTreeMap::new();
    for hot in node.hot() {
        let seen = Seen {
            channel: hot.channel.clone(),
            subscribers: hot.subscribers,
            messages_per_second: hot.messages_per_second,
            bytes_per_second: Some(hot.bytes_per_second),
        };
        found.insert(&*hot.redis_channel, seen);
    }
    for channel in node.busiest() {
        let old = old.and_then(|old| {
            let mut channels = old.busiest();
            channels.find(|old| old.redis_channel == channel.redis_channel)
        });
        let entry = found.entry(&*channel.redis_channel);
        let seen = entry.or_insert_with(|| Seen {
            channel: channel.channel.clone(),
            subscribers: channel.subscribers,
            messages_per_second: 0.0,
            bytes_per_second: None,
        });
        if let Some(old) = old {
            let old = Some(old.messages.into());
            seen.messages_per_second = rate(channel.messages.into(), old, seconds);
        }
    }
    found
}

fn add_namespaces<'a>(
    lines: &mut BTreeMap<&'a str, NamespaceLine>,
    node: &'a Stats,
    old: Option<&Stats>,
    seconds: f64,
) {
    for namespace in &node.namespaces {
        let old = old.and_then(|old| {
            let mut namespaces = old.namespaces.iter();
            namespaces.find(|old| old.path == namespace.path)
        });
        let line = lines
            .entry(&namespace.path)
            .or_insert_with(|| NamespaceLine {
                namespace: namespace.path.clone(),
                messages_per_second: 0.0,
                bytes_per_second: 0.0,
                dropped_per_second: 0.0,
            });
        let of =
            |count: fn(&NamespaceStats) -> u64| rate(count(namespace), old.map(count), seconds);
        let messages = of(|found| found.messages);
        if messages >= line.messages_per_second {
            line.messages_per_second = messages;
            line.bytes_per_second = of(|found| found.message_bytes);
            line.dropped_per_second = of(|found| found.dropped);
        }
    }
}

/// A number of bytes in a unit in which it is short.
fn bytes(number: f64) -> String {
    let (number, unit) = match number {
        _ if number < 1e4 => (number, "B"),
        _ if number < 1e7 => (number / 1e3, "kB"),
        _ => (number / 1e6, "MB"),
    };
    format!("{number:.0} {unit}")
}

fn written(showing: &Showing, clears: bool) -> String {
    let mut text = if clears {
        CLEAR.to_owned()
    } else {
        String::new()
    };
    text += &format!(
        "nodes {}   clients {}   deliveries/s {:.0}   messages/s {:.1}\n\n",
        showing.nodes, showing.clients, showing.deliveries_per_second, showing.messages_per_second,
    );
    text += &format!(
        "{:>12} {:>10} {:>10}  namespace\n",
        "messages/s", "bytes/s", "dropped/s"
    );
    for line in &showing.namespaces {
        text += &format!(
            "{:>12.1} {:>10} {:>10.1}  {}\n",
            line.messages_per_second,
            bytes(line.bytes_per_second),
            line.dropped_per_second,
            line.namespace.escape_debug(),
        );
    }
    text += &format!(
        "\n{:>10} {:>12} {:>10} {:>12}  channel\n",
        "clients", "messages/s", "bytes/s", "deliveries/s"
    );
    for line in &showing.channels {
        // A channel's name may be anything: what a terminal would obey is written as it is read.
        text += &format!(
            "{:>10} {:>12.1} {:>10} {:>12.0}  {}\n",
            line.subscribers,
            line.messages_per_second,
            line.bytes_per_second.map_or_else(|| "-".to_owned(), bytes),
            line.deliveries_per_second,
            line.channel.escape_debug(),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::stats::{
        ChannelLine, ChannelStats, ClientStats, HotChannel, MessageStats, ProcessStats, ShardStats,
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
                hot: vec![HotChannel {
                    channel: "new".to_owned(),
                    redis_channel: "k:new".to_owned(),
                    subscribers: 3,
                    messages_per_second: 50.0,
                    bytes_per_second: 5000.0,
                }],
            }),
            namespaces: vec![NamespaceStats {
                path: "/".to_owned(),
                messages: messages.into(),
                message_bytes: u64::from(messages) * 10,
                dropped: 0,
            }],
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
        assert_eq!(showing.channels.len(), 2);
        // One that is new is told by the rate that its servers have found.
        let hot = &showing.channels[0];
        assert_eq!((hot.channel.as_str(), hot.subscribers), ("new", 9));
        assert_eq!(hot.messages_per_second, 50.0);
        assert_eq!(hot.deliveries_per_second, 450.0);
        let known = &showing.channels[1];
        assert_eq!((known.subscribers, known.messages_per_second), (7, 10.0));
        assert_eq!(known.deliveries_per_second, 30.0);
        assert_eq!(showing.namespaces[0].bytes_per_second, 100.0);
        let text = written(&showing, false);
        assert!(
            text.contains("         7         10.0          -           30  a\\u{1b}\n"),
            "{text}"
        );
        assert!(
            text.contains("        10.0      100 B        0.0  /\n"),
            "{text}"
        );
    }
}
