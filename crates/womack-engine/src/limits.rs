//! What clients and publishers may use, at most.

use std::time::Duration;

use serde::Serialize;
use womack_ledger::AdmissionLimits;

use super::check;
use crate::{error::Error, settings::LimitSettings};

/// Room that one message needs in a client's queue beside its payload: the channel's name and
/// the frame around it.
const FRAMING_BYTES: usize = 16 * 1024;
/// The most that is counted in a second.
const MAX_RATE: u32 = 1_000_000;
/// What hyper reads at one go.
const MIN_HEAD_BYTES: usize = 8 << 10;
/// Who has not said what it wants may not have more memory than that.
const MAX_HEAD_BYTES: usize = 1 << 20;
/// What Redis itself takes in one string.
const MAX_MESSAGE_BYTES: usize = 512 << 20;
/// Room for server events is taken when the server starts.
const MAX_WAITING_EVENTS: usize = 10_000_000;

/// What clients and publishers may use, at most. Sizes are bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Sessions of the process; 0 for as many as it may open files.
    pub max_connections: usize,
    /// Sessions from one address, or from one network of 64 bits with IPv6; 0 for any number.
    pub max_connections_per_address: usize,
    /// Sessions that may be opened in a second; 0 for any number.
    pub max_connects_per_second: u32,
    /// Packets that one client may send in a second; 0 for any number.
    pub max_packets_per_second: u32,
    /// Largest head of an HTTP request.
    pub max_head_bytes: usize,
    /// Largest message from a client: one WebSocket message or one polling body.
    #[serde(rename = "max-payload")]
    pub max_payload_bytes: usize,
    /// Largest message that is accepted from Redis.
    pub max_message_bytes: usize,
    /// Longest channel name.
    pub max_channel_bytes: usize,
    /// Channels that one client may subscribe to in one namespace.
    pub max_channels_per_client: usize,
    /// Channels that one message may name which says itself where it goes.
    pub max_channels_per_publish: usize,
    /// Bytes that may wait for one client. Always room for one largest message.
    pub max_client_queue_bytes: usize,
    /// Messages that may wait for one client; 0 for any number.
    pub max_client_queue_messages: usize,
    /// How long a message may wait for one client; `None` for any time.
    #[serde(rename = "max-client-queue-seconds")]
    pub max_client_queue_time: Option<Duration>,
    /// Memory for the process; 0 for half of what there is.
    #[serde(rename = "memory-budget")]
    pub memory_budget_bytes: usize,
    /// Clients that a message is written to at one go; 0 for all.
    pub fanout_slice: usize,
    /// Packets in one polling body.
    pub max_packets_per_payload: usize,
    /// Subscriptions that may wait for Redis at one time in one shard.
    pub max_waiting_acks: usize,
    /// Server events that may wait for Redis.
    pub max_waiting_events: usize,
    /// Largest `meta` of a client.
    pub max_meta_bytes: usize,
    /// Largest `event` of a client.
    pub max_event_bytes: usize,
    /// Clients about whom one that asks for presence is told.
    pub max_presence_members: usize,
}

impl Limits {
    /// Fills what `settings` leave open with the defaults.
    ///
    /// # Errors
    /// [`Error::Config`] for a limit that nobody can mean.
    pub fn resolve(settings: &LimitSettings) -> Result<Self, Error> {
        let or = |setting: Option<usize>, default| setting.unwrap_or(default);
        let defaults = Self::default();
        let max_message_bytes = or(settings.max_message_bytes, defaults.max_message_bytes);
        let limits = Self {
            max_connections: or(settings.max_connections, defaults.max_connections),
            max_connections_per_address: or(
                settings.max_connections_per_address,
                defaults.max_connections_per_address,
            ),
            max_connects_per_second: settings
                .max_connects_per_second
                .unwrap_or(defaults.max_connects_per_second),
            max_packets_per_second: settings
                .max_packets_per_second
                .unwrap_or(defaults.max_packets_per_second),
            max_head_bytes: or(settings.max_head_bytes, defaults.max_head_bytes),
            max_payload_bytes: or(settings.max_payload, defaults.max_payload_bytes),
            max_message_bytes,
            max_channel_bytes: or(settings.max_channel_bytes, defaults.max_channel_bytes),
            max_channels_per_client: or(
                settings.max_channels_per_client,
                defaults.max_channels_per_client,
            ),
            max_channels_per_publish: or(
                settings.max_channels_per_publish,
                defaults.max_channels_per_publish,
            ),
            max_client_queue_bytes: or(
                settings.max_client_queue_bytes,
                defaults.max_client_queue_bytes,
            )
            .max(max_message_bytes.saturating_add(FRAMING_BYTES)),
            fanout_slice: or(settings.fanout_slice, defaults.fanout_slice),
            max_client_queue_messages: or(
                settings.max_client_queue_messages,
                defaults.max_client_queue_messages,
            ),
            max_client_queue_time: settings
                .max_client_queue_seconds
                .map(|seconds| seconds.0)
                .filter(|time| !time.is_zero()),
            memory_budget_bytes: or(
                settings.memory_budget.map(|size| size.0),
                defaults.memory_budget_bytes,
            ),
            max_packets_per_payload: or(
                settings.max_packets_per_payload,
                defaults.max_packets_per_payload,
            ),
            max_waiting_acks: or(settings.max_waiting_acks, defaults.max_waiting_acks),
            max_waiting_events: or(settings.max_waiting_events, defaults.max_waiting_events),
            max_meta_bytes: or(settings.max_meta_bytes, defaults.max_meta_bytes),
            max_event_bytes: or(settings.max_event_bytes, defaults.max_event_bytes),
            max_presence_members: or(settings.max_presence_members, defaults.max_presence_members),
        };
        limits.check()?;
        Ok(limits)
    }

    /// The part of the limits that says who may open a session.
    pub(crate) const fn admission(&self) -> AdmissionLimits {
        AdmissionLimits {
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            max_connects_per_second: self.max_connects_per_second,
        }
    }

    fn check(&self) -> Result<(), Error> {
        check(&[
            (
                self.max_connects_per_second <= MAX_RATE,
                "max-connects-per-second is above 1000000",
            ),
            (
                self.max_packets_per_second <= MAX_RATE,
                "max-packets-per-second is above 1000000",
            ),
            (
                (MIN_HEAD_BYTES..=MAX_HEAD_BYTES).contains(&self.max_head_bytes),
                "max-head-bytes is not between 8192 and 1 MiB",
            ),
            (
                self.max_payload_bytes >= 64,
                "max-payload is below 64 bytes",
            ),
            (
                (1..=MAX_MESSAGE_BYTES).contains(&self.max_message_bytes),
                "max-message-bytes is not between 1 and 512 MiB",
            ),
            (
                self.max_payload_bytes <= MAX_MESSAGE_BYTES,
                "max-payload is above 512 MiB",
            ),
            (
                (1..=1 << 16).contains(&self.max_channel_bytes),
                "max-channel-bytes is not between 1 and 65536",
            ),
            (
                self.max_channels_per_client >= 1,
                "max-channels-per-client is 0",
            ),
            (
                self.max_packets_per_payload >= 1,
                "max-packets-per-payload is 0",
            ),
            (
                (1..=MAX_WAITING_EVENTS).contains(&self.max_waiting_events),
                "max-waiting-events is not between 1 and 10000000",
            ),
            (
                self.max_channels_per_publish >= 1,
                "max-channels-per-publish is 0",
            ),
        ])
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 0,
            max_connections_per_address: 0,
            max_connects_per_second: 0,
            max_packets_per_second: 10_000,
            max_head_bytes: 32 << 10,
            max_payload_bytes: 1_000_000,
            max_message_bytes: 1 << 20,
            max_channel_bytes: 1024,
            max_channels_per_client: 1000,
            max_channels_per_publish: 100,
            max_client_queue_bytes: (1 << 20) + FRAMING_BYTES,
            fanout_slice: 2048,
            max_client_queue_messages: 0,
            max_client_queue_time: None,
            memory_budget_bytes: 0,
            max_packets_per_payload: 1000,
            max_waiting_acks: 100_000,
            max_waiting_events: 100_000,
            max_meta_bytes: 4096,
            max_event_bytes: 4096,
            max_presence_members: 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_always_has_room_for_one_message() {
        let settings = LimitSettings {
            max_message_bytes: Some(5_000_000),
            max_client_queue_bytes: Some(10),
            ..LimitSettings::default()
        };
        assert!(Limits::resolve(&settings).unwrap().max_client_queue_bytes > 5_000_000);
    }
}
