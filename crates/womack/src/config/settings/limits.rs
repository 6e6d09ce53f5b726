//! What an operator wrote of limits.

use super::values::{AddressShareSetting, ByteSize, MessageRate, NamespaceValue, Seconds};

/// What an operator wrote of limits, on the command line, in the environment or in the file.
#[derive(Clone, Debug, Default, clap::Args, merge::Merge)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct LimitSettings {
    /// Clients at one time, 0 for as many as the process may open files [default: 0]
    #[arg(long, env = "WOMACK_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,

    /// Clients from one address, or from one /64 network with IPv6, with twice as many sockets and 8
    /// more; 0 for any number; auto keeps the last quarter of all for addresses that have less than a
    /// quarter [default: auto]
    #[arg(
        long,
        env = "WOMACK_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "N|auto"
    )]
    pub max_connections_per_address: Option<AddressShareSetting>,

    /// Clients that may come in a second, 0 for any number [default: 0]
    #[arg(long, env = "WOMACK_MAX_CONNECTS_PER_SECOND", value_name = "N")]
    pub max_connects_per_second: Option<u32>,

    /// Packets that one client may send in a second, twice as many at once, 0 for any number
    /// [default: 10000]
    #[arg(long, env = "WOMACK_MAX_PACKETS_PER_SECOND", value_name = "N")]
    pub max_packets_per_second: Option<u32>,

    /// Largest head of an HTTP request, in bytes [default: 32768]
    #[arg(long, env = "WOMACK_MAX_HEAD_BYTES", value_name = "BYTES")]
    pub max_head_bytes: Option<usize>,

    /// Largest message from a client, in bytes [default: 1000000]
    #[arg(long, env = "WOMACK_MAX_PAYLOAD", value_name = "BYTES")]
    pub max_payload: Option<usize>,

    /// Largest message from Redis, in bytes [default: 1048576]
    #[arg(long, env = "WOMACK_MAX_MESSAGE_BYTES", value_name = "BYTES")]
    pub max_message_bytes: Option<usize>,

    /// Messages that a namespace may have in a second, `N` or `/path=N` for one namespace, 0 for any
    /// number; beyond, the busiest channels lose messages first, and are told as with a gap; may be
    /// given again [default: 0]
    #[arg(
        long,
        env = "WOMACK_MAX_MESSAGES_PER_SECOND",
        value_name = "N",
        value_delimiter = ','
    )]
    pub max_messages_per_second: Option<Vec<NamespaceValue<MessageRate>>>,

    /// Longest channel name, in bytes [default: 1024]
    #[arg(long, env = "WOMACK_MAX_CHANNEL_BYTES", value_name = "BYTES")]
    pub max_channel_bytes: Option<usize>,

    /// Channels of all clients, each counted once in each shard that has it, 0 for as many as a
    /// quarter of the memory budget has room for at 1 KiB each [default: 0]
    #[arg(long, env = "WOMACK_MAX_CHANNELS", value_name = "N")]
    pub max_channels: Option<usize>,

    /// Channels that one client may subscribe to [default: 1000]
    #[arg(long, env = "WOMACK_MAX_CHANNELS_PER_CLIENT", value_name = "N")]
    pub max_channels_per_client: Option<usize>,

    /// Channels that one message to POST /publish, or of Juggernaut, may name [default: 100]
    #[arg(long, env = "WOMACK_MAX_CHANNELS_PER_PUBLISH", value_name = "N")]
    pub max_channels_per_publish: Option<usize>,

    /// Bytes that may wait for one client before it is cut off; at least one largest message
    /// [default: 1048576]
    #[arg(long, env = "WOMACK_MAX_CLIENT_QUEUE_BYTES", value_name = "BYTES")]
    pub max_client_queue_bytes: Option<usize>,

    /// Messages that may wait for one client, 0 for as many as have room [default: 0]
    #[arg(long, env = "WOMACK_MAX_CLIENT_QUEUE_MESSAGES", value_name = "N")]
    pub max_client_queue_messages: Option<usize>,

    /// Seconds that a message may wait for one client, 0 for any time [default: 60]
    #[arg(long, env = "WOMACK_MAX_CLIENT_QUEUE_SECONDS", value_name = "SECONDS")]
    pub max_client_queue_seconds: Option<Seconds>,

    /// Bytes of memory for the process, such as 512M: beyond three quarters no client is taken, and
    /// those make room that make no progress or hold more than their part [default: half of what the machine
    /// or the control group has]
    #[arg(long, env = "WOMACK_MEMORY_BUDGET", value_name = "BYTES")]
    pub memory_budget: Option<ByteSize>,

    /// Clients that one message is written to before others have their turn, 0 for all
    /// [default: 2048]
    #[arg(long, env = "WOMACK_FANOUT_SLICE", value_name = "N")]
    pub fanout_slice: Option<usize>,

    /// Packets in one polling body from a client [default: 1000]
    #[arg(long, env = "WOMACK_MAX_PACKETS_PER_PAYLOAD", value_name = "N")]
    pub max_packets_per_payload: Option<usize>,

    /// Subscriptions per shard that may wait for Redis at one time, a 64th of them of one client
    /// [default: 100000]
    #[arg(long, env = "WOMACK_MAX_WAITING_ACKS", value_name = "N")]
    pub max_waiting_acks: Option<usize>,

    /// Server events that may wait for Redis; beyond, the oldest are dropped [default: 100000]
    #[arg(long, env = "WOMACK_MAX_WAITING_EVENTS", value_name = "N")]
    pub max_waiting_events: Option<usize>,

    /// Largest `meta` of a client, in bytes [default: 4096]
    #[arg(long, env = "WOMACK_MAX_META_BYTES", value_name = "BYTES")]
    pub max_meta_bytes: Option<usize>,

    /// Largest `event` of a client, in bytes [default: 4096]
    #[arg(long, env = "WOMACK_MAX_EVENT_BYTES", value_name = "BYTES")]
    pub max_event_bytes: Option<usize>,

    /// Clients about whom a client that asks for presence is told [default: 100]
    #[arg(long, env = "WOMACK_MAX_PRESENCE_MEMBERS", value_name = "N")]
    pub max_presence_members: Option<usize>,
}
