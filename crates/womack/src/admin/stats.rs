//! The schema of `/stats`, which the server writes and its readers read.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use womack_ledger::metrics::Reading;

/// Figures of one server. Those that only grow are for the reader to compare with what they were a
/// moment ago: rates and percentiles are of the reader's own interval.
///
/// A reader may ask servers of other versions: a field that is added needs a default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Stats {
    /// The process.
    #[serde(flatten)]
    pub process: ProcessStats,
    /// Its clients.
    #[serde(flatten)]
    pub clients: ClientStats,
    /// The messages that Redis sent to it.
    #[serde(flatten)]
    pub messages: MessageStats,
    /// The messages on their way to clients.
    #[serde(flatten)]
    pub delivery: DeliveryStats,
    /// The shards, in the order of their numbers.
    pub shards: Vec<ShardStats>,
    /// The link to Redis.
    pub redis: RedisStats,
    /// The channels with most to do, if the reader may know their names.
    pub channels: Option<ChannelStats>,
    /// The namespaces, in the order of their numbers; none if the reader may not know their names.
    #[serde(default)]
    pub namespaces: Vec<NamespaceStats>,
}

/// A namespace.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct NamespaceStats {
    /// Its path.
    pub path: String,
    /// Its messages for channels that had subscribers.
    pub messages: u64,
    /// The bytes of their payloads.
    pub message_bytes: u64,
    /// Those beyond `--max-messages-per-second`.
    pub dropped: u64,
}

/// A process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ProcessStats {
    /// The name of the process, as server events have it.
    pub node: String,
    /// The version of its program.
    pub version: Cow<'static, str>,
    /// The time since it started.
    pub uptime_seconds: f64,
    /// The reason why new clients are not welcome.
    pub unready: Option<Cow<'static, str>>,
}

/// The clients of a process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ClientStats {
    /// Open sessions by transport.
    pub connections: BTreeMap<Cow<'static, str>, i64>,
    /// Sessions that were opened.
    pub opened: u64,
    /// Sessions that were closed, by reason.
    pub closed: BTreeMap<Cow<'static, str>, u64>,
    /// Memberships of clients in channels.
    pub subscriptions: i64,
    /// Messages from clients for the back end.
    pub client_events: u64,
}

/// The messages that Redis sent to a process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct MessageStats {
    /// All of them.
    #[serde(rename = "messages")]
    pub received: u64,
    /// Those that no client wanted any longer.
    #[serde(rename = "messages_unwanted")]
    pub unwanted: u64,
    /// Those that are invalid or too large.
    #[serde(rename = "messages_rejected")]
    pub rejected: u64,
}

/// The messages on their way to the clients of a process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct DeliveryStats {
    /// Bytes that were written to clients.
    pub sent_bytes: u64,
    /// Writes that this took.
    pub socket_writes: u64,
    /// Bytes that wait for clients.
    pub client_queue_bytes: i64,
    /// The time from Redis to the write.
    #[serde(rename = "delivery")]
    pub seconds: Histogram,
}

/// How many times there were up to each bound, and beyond the last.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Histogram {
    /// The bounds.
    pub bounds_seconds: Vec<f64>,
    /// The number of times up to each bound and above the one before, then beyond the last.
    pub counts: Vec<u64>,
    /// The sum of all times.
    pub sum_seconds: f64,
}

/// One shard.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ShardStats {
    /// Sessions that are open.
    pub connections: i64,
    /// Messages that were queued for clients.
    pub deliveries: u64,
    /// Commands that it has taken from its queue.
    pub commands: u64,
    /// Times that it has taken some.
    pub batches: u64,
    /// Commands that wait in its queue.
    pub queue_depth: usize,
    /// The time of a processor that its thread has used.
    pub cpu_seconds: f64,
    /// The time by which its thread ran late.
    pub lag: Histogram,
}

/// The link to Redis.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RedisStats {
    /// Whether it stands.
    pub connected: bool,
    /// Times that messages may have been missed.
    pub gaps: u64,
    /// The length of all these gaps together.
    pub gap_seconds: f64,
    /// Channels that are subscribed.
    pub channels: i64,
}

/// The channels with most to do.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ChannelStats {
    /// The time since they were counted.
    pub age_seconds: f64,
    /// The number of all channels, each counted in each shard that has it.
    pub count: usize,
    /// Those with most subscribers or messages.
    pub busiest: Vec<ChannelLine>,
    /// Those that brought most messages in the last second, the busiest first.
    #[serde(default)]
    pub hot: Vec<HotChannel>,
}

/// A channel that brought many messages in the last second. The rates come of samples.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HotChannel {
    /// The name that clients use.
    pub channel: String,
    /// The name at Redis.
    pub redis_channel: String,
    /// Its subscribers.
    pub subscribers: u64,
    /// Its messages.
    pub messages_per_second: f64,
    /// The bytes of their payloads.
    pub bytes_per_second: f64,
}

/// One channel.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ChannelLine {
    /// The name that clients use.
    pub channel: String,
    /// The name at Redis.
    pub redis_channel: String,
    /// Its subscribers.
    pub subscribers: u64,
    /// Its messages so far; the number wraps around.
    pub messages: u32,
}

impl Stats {
    /// Messages that were queued for clients, of all shards.
    pub fn deliveries(&self) -> u64 {
        self.shards.iter().map(|shard| shard.deliveries).sum()
    }

    /// The time since the channels were counted.
    pub fn age_seconds(&self) -> f64 {
        self.channels
            .as_ref()
            .map_or(0.0, |channels| channels.age_seconds)
    }

    /// The channels that brought most messages; none if the reader may not know them.
    pub fn hot(&self) -> impl Iterator<Item = &HotChannel> {
        self.channels.iter().flat_map(|channels| &channels.hot)
    }

    /// The channels with most to do; none if the reader may not know them.
    pub fn busiest(&self) -> impl Iterator<Item = &ChannelLine> {
        self.channels.iter().flat_map(|channels| &channels.busiest)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The document that readers of all versions rely on, to the byte.
    const TEXT: &str = concat!(
        r#"{"node":"0000002a","version":"1.2.3","uptime_seconds":1.5,"unready":null,"#,
        r#""connections":{"polling":1,"websocket":2},"opened":5,"closed":{"client":2},"#,
        r#""subscriptions":4,"client_events":6,"messages":7,"messages_unwanted":8,"#,
        r#""messages_rejected":9,"sent_bytes":10,"socket_writes":11,"client_queue_bytes":12,"#,
        r#""delivery":{"bounds_seconds":[0.5],"counts":[1,2],"sum_seconds":0.25},"#,
        r#""shards":[{"connections":3,"deliveries":13,"commands":14,"batches":15,"#,
        r#""queue_depth":16,"cpu_seconds":0.75,"#,
        r#""lag":{"bounds_seconds":[],"counts":[],"sum_seconds":0.0}}],"#,
        r#""redis":{"connected":true,"gaps":17,"gap_seconds":18.5,"channels":19},"#,
        r#""channels":{"age_seconds":0.125,"count":20,"busiest":[{"channel":"a","#,
        r#""redis_channel":"k:a","subscribers":21,"messages":22}],"hot":[{"channel":"b","#,
        r#""redis_channel":"k:b","subscribers":23,"messages_per_second":24.5,"#,
        r#""bytes_per_second":25.5}]},"#,
        r#""namespaces":[{"path":"/","messages":26,"message_bytes":27,"dropped":28}]}"#
    );

    fn sample() -> Stats {
        Stats {
            process: ProcessStats {
                node: "0000002a".to_owned(),
                version: "1.2.3".into(),
                uptime_seconds: 1.5,
                unready: None,
            },
            clients: ClientStats {
                connections: [("polling".into(), 1), ("websocket".into(), 2)].into(),
                opened: 5,
                closed: [("client".into(), 2)].into(),
                subscriptions: 4,
                client_events: 6,
            },
            messages: MessageStats {
                received: 7,
                unwanted: 8,
                rejected: 9,
            },
            delivery: DeliveryStats {
                sent_bytes: 10,
                socket_writes: 11,
                client_queue_bytes: 12,
                seconds: Histogram {
                    bounds_seconds: vec![0.5],
                    counts: vec![1, 2],
                    sum_seconds: 0.25,
                },
            },
            shards: vec![ShardStats {
                connections: 3,
                deliveries: 13,
                commands: 14,
                batches: 15,
                queue_depth: 16,
                cpu_seconds: 0.75,
                lag: Histogram::default(),
            }],
            redis: RedisStats {
                connected: true,
                gaps: 17,
                gap_seconds: 18.5,
                channels: 19,
            },
            channels: Some(ChannelStats {
                age_seconds: 0.125,
                count: 20,
                busiest: vec![ChannelLine {
                    channel: "a".to_owned(),
                    redis_channel: "k:a".to_owned(),
                    subscribers: 21,
                    messages: 22,
                }],
                hot: vec![HotChannel {
                    channel: "b".to_owned(),
                    redis_channel: "k:b".to_owned(),
                    subscribers: 23,
                    messages_per_second: 24.5,
                    bytes_per_second: 25.5,
                }],
            }),
            namespaces: vec![NamespaceStats {
                path: "/".to_owned(),
                messages: 26,
                message_bytes: 27,
                dropped: 28,
            }],
        }
    }

    #[test]
    fn the_document_has_these_names_in_this_order() {
        assert_eq!(serde_json::to_string(&sample()).unwrap(), TEXT);
        assert_eq!(serde_json::from_str::<Stats>(TEXT).unwrap(), sample());
    }

    #[test]
    fn fields_of_later_versions_may_be_missing() {
        let (before, rest) = TEXT.split_once(r#","hot":"#).unwrap();
        let (_, after) = rest.split_once("]").unwrap();
        let earlier = format!("{before}{after}");
        let (earlier, _) = earlier.split_once(r#","namespaces""#).unwrap();
        let stats: Stats = serde_json::from_str(&format!("{earlier}}}")).unwrap();
        assert_eq!((stats.hot().count(), stats.namespaces.len()), (0, 0));
        assert_eq!(stats.busiest().count(), 1);
    }

    #[test]
    fn fields_of_later_versions_are_passed_over() {
        let later = TEXT.replacen('{', r#"{"later":[1],"#, 1);
        assert_eq!(serde_json::from_str::<Stats>(&later).unwrap(), sample());
    }
}
