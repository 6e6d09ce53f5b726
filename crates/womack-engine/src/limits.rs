//! The limits of clients and publishers.

use std::time::Duration;

use serde::Serialize;
use womack_ledger::{AddressShare, AdmissionLimits};

/// Room that one message needs in a client's queue beside its payload: the channel's name and
/// the frame around it.
pub const FRAMING_BYTES: usize = 16 * 1024;

/// The limits of clients and publishers. Sizes are bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Sessions of the process; 0 for as many as it may open files.
    pub max_connections: usize,
    /// Sessions from one address, or from one network of 64 bits with IPv6.
    pub max_connections_per_address: AddressShare,
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
    /// Channels that clients of the node may subscribe to, each counted once in each shard that
    /// has it; 0 for as many as a quarter of the memory budget has room for.
    pub max_channels: usize,
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
    /// Subscriptions that may wait for Redis at one time in one shard; those of one client may be
    /// a 64th of them.
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
    /// The part of the limits that says who may open a session.
    pub const fn admission(&self) -> AdmissionLimits {
        AdmissionLimits {
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            max_connects_per_second: self.max_connects_per_second,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 0,
            max_connections_per_address: AddressShare::Auto,
            max_connects_per_second: 0,
            max_packets_per_second: 10_000,
            max_head_bytes: 32 << 10,
            max_payload_bytes: 1_000_000,
            max_message_bytes: 1 << 20,
            max_channel_bytes: 1024,
            max_channels: 0,
            max_channels_per_client: 1000,
            max_channels_per_publish: 100,
            max_client_queue_bytes: (1 << 20) + FRAMING_BYTES,
            fanout_slice: 2048,
            max_client_queue_messages: 0,
            max_client_queue_time: Some(Duration::from_secs(60)),
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
