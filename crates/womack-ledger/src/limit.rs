//! Every limit of the server, named once.

/// A limit that can be reached, which the metric `womack_limit_reached_total` counts.
///
/// Most are settings, and have the name of their flag. A limit that is no value of this type
/// cannot be counted, so a misspelt name cannot create a series of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Limit {
    /// More bytes of messages wait until clients are told of a gap before them.
    GapHoldBytes,
    /// A request, a WebSocket handshake, the first CONNECT or the reading of an answer took longer
    /// than this.
    HandshakeSeconds,
    /// An HTTP connection has been silent for longer since its last answer.
    KeepAliveSeconds,
    /// A channel's name is longer.
    MaxChannelBytes,
    /// Clients of the node ask for more channels.
    MaxChannels,
    /// A client asks for more channels.
    MaxChannelsPerClient,
    /// A publisher names more channels at one go.
    MaxChannelsPerPublish,
    /// More bytes wait for a client that reads too slowly.
    MaxClientQueueBytes,
    /// More messages wait for such a client.
    MaxClientQueueMessages,
    /// The oldest message has waited longer for such a client.
    MaxClientQueueSeconds,
    /// More sessions are open.
    MaxConnections,
    /// More sessions are open from one address.
    MaxConnectionsPerAddress,
    /// Sessions are opened faster.
    MaxConnectsPerSecond,
    /// A client sends the back end a longer `event`.
    MaxEventBytes,
    /// The head of an HTTP request is longer.
    MaxHeadBytes,
    /// A published message is longer.
    MaxMessageBytes,
    /// Messages of a namespace come faster.
    MaxMessagesPerSecond,
    /// A client's `meta` is longer.
    MaxMetaBytes,
    /// One polling body brings more packets.
    MaxPacketsPerPayload,
    /// A client sends packets faster.
    MaxPacketsPerSecond,
    /// A client sends a longer message or body.
    MaxPayload,
    /// A channel has more members than one presence answer lists.
    MaxPresenceMembers,
    /// More bytes wait to be sent to other nodes.
    MaxRelayBytes,
    /// More requests wait for other nodes, or from them.
    MaxRelayedRequests,
    /// More acknowledgements, or presence queries, wait in a shard, or for one client.
    MaxWaitingAcks,
    /// More server events wait to be published.
    MaxWaitingEvents,
    /// Clients and messages hold more memory.
    MemoryBudget,
    /// The process has no descriptor left for another connection.
    OpenFiles,
    /// More bytes that Redis sent wait for the router.
    RedisBacklogBytes,
    /// Another node has not answered within this.
    RelayTimeoutSeconds,
    /// Redis, or the presence store, has not answered within this.
    SubscribeTimeoutSeconds,
}

impl Limit {
    /// Every limit, in the order of their names.
    pub const ALL: &'static [Self] = &[
        Self::GapHoldBytes,
        Self::HandshakeSeconds,
        Self::KeepAliveSeconds,
        Self::MaxChannelBytes,
        Self::MaxChannels,
        Self::MaxChannelsPerClient,
        Self::MaxChannelsPerPublish,
        Self::MaxClientQueueBytes,
        Self::MaxClientQueueMessages,
        Self::MaxClientQueueSeconds,
        Self::MaxConnections,
        Self::MaxConnectionsPerAddress,
        Self::MaxConnectsPerSecond,
        Self::MaxEventBytes,
        Self::MaxHeadBytes,
        Self::MaxMessageBytes,
        Self::MaxMessagesPerSecond,
        Self::MaxMetaBytes,
        Self::MaxPacketsPerPayload,
        Self::MaxPacketsPerSecond,
        Self::MaxPayload,
        Self::MaxPresenceMembers,
        Self::MaxRelayBytes,
        Self::MaxRelayedRequests,
        Self::MaxWaitingAcks,
        Self::MaxWaitingEvents,
        Self::MemoryBudget,
        Self::OpenFiles,
        Self::RedisBacklogBytes,
        Self::RelayTimeoutSeconds,
        Self::SubscribeTimeoutSeconds,
    ];

    /// The name in metrics, in logs and, with hyphens, on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GapHoldBytes => "gap_hold_bytes",
            Self::HandshakeSeconds => "handshake_seconds",
            Self::KeepAliveSeconds => "keep_alive_seconds",
            Self::MaxChannelBytes => "max_channel_bytes",
            Self::MaxChannels => "max_channels",
            Self::MaxChannelsPerClient => "max_channels_per_client",
            Self::MaxChannelsPerPublish => "max_channels_per_publish",
            Self::MaxClientQueueBytes => "max_client_queue_bytes",
            Self::MaxClientQueueMessages => "max_client_queue_messages",
            Self::MaxClientQueueSeconds => "max_client_queue_seconds",
            Self::MaxConnections => "max_connections",
            Self::MaxConnectionsPerAddress => "max_connections_per_address",
            Self::MaxConnectsPerSecond => "max_connects_per_second",
            Self::MaxEventBytes => "max_event_bytes",
            Self::MaxHeadBytes => "max_head_bytes",
            Self::MaxMessageBytes => "max_message_bytes",
            Self::MaxMessagesPerSecond => "max_messages_per_second",
            Self::MaxMetaBytes => "max_meta_bytes",
            Self::MaxPacketsPerPayload => "max_packets_per_payload",
            Self::MaxPacketsPerSecond => "max_packets_per_second",
            Self::MaxPayload => "max_payload",
            Self::MaxPresenceMembers => "max_presence_members",
            Self::MaxRelayBytes => "max_relay_bytes",
            Self::MaxRelayedRequests => "max_relayed_requests",
            Self::MaxWaitingAcks => "max_waiting_acks",
            Self::MaxWaitingEvents => "max_waiting_events",
            Self::MemoryBudget => "memory_budget",
            Self::OpenFiles => "open_files",
            Self::RedisBacklogBytes => "redis_backlog_bytes",
            Self::RelayTimeoutSeconds => "relay_timeout_seconds",
            Self::SubscribeTimeoutSeconds => "subscribe_timeout_seconds",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_listed_once_in_the_order_of_names() {
        let names: Vec<_> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
