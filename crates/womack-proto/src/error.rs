//! What clients get wrong, and why connections end.

/// What is wrong with bytes that a client sent.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// A packet of no characters, or a polling body of none.
    #[error("empty packet")]
    EmptyPacket,
    /// A polling body, or a text in it, that is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A packet in a polling body without its length, or with one that ends elsewhere.
    #[error("invalid packet length")]
    PacketLength,
    /// More packets in one polling body than a client may send.
    #[error("more than {max} packets in one body")]
    TooManyPackets {
        /// The limit.
        max: usize,
    },
    /// Not an Engine.IO packet: no such type.
    #[error("unknown Engine.IO packet type")]
    EngineIoType,
    /// A ping or a pong from the side that must not send it.
    #[error("heartbeat in the wrong direction")]
    Heartbeat,
    /// A binary packet in a polling body which is not base64.
    #[error("invalid base64")]
    Base64,
    /// Not a Socket.IO packet: no such type.
    #[error("unknown Socket.IO packet type")]
    SocketIoType,
    /// Not a packet of Socket.IO 0.9: it has fewer than three fields.
    #[error("packet without its three fields")]
    LegacyFields,
    /// The number of attachments is missing or no number.
    #[error("invalid number of attachments")]
    AttachmentCount,
    /// More attachments announced than one packet may have.
    #[error("more than {max} attachments")]
    TooManyAttachments {
        /// The limit.
        max: usize,
    },
    /// The attachments of one packet are larger than they may be.
    #[error("more than {max} bytes of attachments")]
    AttachmentsTooLarge {
        /// The limit.
        max: usize,
    },
    /// Text came where an attachment was due.
    #[error("text instead of an attachment")]
    UnexpectedText,
    /// Bytes came that no packet had announced.
    #[error("attachment without a packet")]
    UnexpectedBinary,
    /// An acknowledgement without its number, or a number that is none.
    #[error("invalid acknowledgement id")]
    AckId,
    /// The payload is not JSON, or not the JSON that this type of packet has.
    #[error("invalid payload")]
    Payload,
    /// An event with a name that only the library itself may use.
    #[error("reserved event name")]
    ReservedEvent,
    /// An event's arguments are others than the receiver wants.
    #[error("unexpected arguments: {0}")]
    Arguments(String),
}

impl DecodeError {
    /// Why the connection is closed, when a client's mistake closes it.
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::TooManyPackets { .. } => CloseReason::TooManyPackets,
            Self::AttachmentsTooLarge { .. } => CloseReason::PayloadTooLarge,
            _ => CloseReason::ParseError,
        }
    }
}

impl From<DecodeError> for CloseReason {
    fn from(error: DecodeError) -> Self {
        error.close_reason()
    }
}

/// Why a connection ended: one list for logs, metrics and handlers.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq)]
pub enum CloseReason {
    /// The peer closed the WebSocket or its end of the TCP connection.
    TransportClose,
    /// Reading from or writing to the client failed.
    TransportError,
    /// The client sent the Engine.IO packet that closes.
    ClientDisconnect,
    /// No pong came within the ping timeout, or nothing at all from a client that has to ping.
    PingTimeout,
    /// The client joined no namespace in time.
    ConnectTimeout,
    /// A request or a WebSocket handshake was not complete in time, or a client that polls has made
    /// no second request.
    HandshakeTimeout,
    /// A WebSocket message was not complete in time.
    MessageTimeout,
    /// Announced attachments were not complete in time.
    AttachmentTimeout,
    /// The client sent what no protocol allows.
    ParseError,
    /// The client sent a valid packet that has no place here, such as an event before its connect.
    InvalidState,
    /// A message, a polling body or a packet's attachments passed their limit.
    PayloadTooLarge,
    /// A polling body had more packets than it may.
    TooManyPackets,
    /// The client sent packets faster than it may.
    PacketRate,
    /// The client read too slowly: its queue passed the limit.
    SlowConsumer,
    /// The server's memory was nearly used up, and most of it waited for this client.
    MemoryBudget,
    /// A handler disconnected the client.
    ServerDisconnect,
    /// The server is shutting down.
    Shutdown,
    /// The client has been connected for so long that it is to come again, perhaps elsewhere.
    Aged,
    /// A second poll came while one was open.
    PollOverlap,
    /// The client gave up an open poll.
    PollAborted,
    /// Redis did not confirm in time what an event stream was to begin with.
    Unavailable,
}

impl CloseReason {
    /// Every reason, in the order of declaration.
    pub const ALL: &'static [Self] = &[
        Self::TransportClose,
        Self::TransportError,
        Self::ClientDisconnect,
        Self::PingTimeout,
        Self::ConnectTimeout,
        Self::HandshakeTimeout,
        Self::MessageTimeout,
        Self::AttachmentTimeout,
        Self::ParseError,
        Self::InvalidState,
        Self::PayloadTooLarge,
        Self::TooManyPackets,
        Self::PacketRate,
        Self::SlowConsumer,
        Self::MemoryBudget,
        Self::ServerDisconnect,
        Self::Shutdown,
        Self::Aged,
        Self::PollOverlap,
        Self::PollAborted,
        Self::Unavailable,
    ];

    /// The reason in snake case, as logs and metric labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport_close",
            Self::TransportError => "transport_error",
            Self::ClientDisconnect => "client_disconnect",
            Self::PingTimeout => "ping_timeout",
            Self::ConnectTimeout => "connect_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::MessageTimeout => "message_timeout",
            Self::AttachmentTimeout => "attachment_timeout",
            Self::ParseError => "parse_error",
            Self::InvalidState => "invalid_state",
            Self::PayloadTooLarge => "payload_too_large",
            Self::TooManyPackets => "too_many_packets",
            Self::PacketRate => "packet_rate",
            Self::SlowConsumer => "slow_consumer",
            Self::MemoryBudget => "memory_budget",
            Self::ServerDisconnect => "server_disconnect",
            Self::Shutdown => "shutdown",
            Self::Aged => "aged",
            Self::PollOverlap => "poll_overlap",
            Self::PollAborted => "poll_aborted",
            Self::Unavailable => "unavailable",
        }
    }

    /// The status code of the WebSocket close frame that tells the client (RFC 6455, 7.4.1).
    pub const fn websocket_code(self) -> u16 {
        match self {
            Self::TransportClose | Self::ClientDisconnect | Self::ServerDisconnect => 1000,
            Self::Shutdown | Self::Aged => 1001,
            Self::ParseError | Self::InvalidState => 1002,
            Self::PayloadTooLarge => 1009,
            Self::TransportError | Self::Unavailable => 1011,
            Self::PingTimeout
            | Self::ConnectTimeout
            | Self::HandshakeTimeout
            | Self::MessageTimeout
            | Self::AttachmentTimeout
            | Self::TooManyPackets
            | Self::PacketRate
            | Self::SlowConsumer
            | Self::MemoryBudget
            | Self::PollOverlap
            | Self::PollAborted => 1008,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let labels: HashSet<_> = CloseReason::ALL
            .iter()
            .map(|reason| reason.as_str())
            .collect();
        assert_eq!(labels.len(), CloseReason::ALL.len());
        let snake = |label: &&str| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(labels.iter().all(snake), "{labels:?}");
    }

    #[test]
    fn every_close_code_may_be_sent() {
        for reason in CloseReason::ALL {
            let code = reason.websocket_code();
            assert!(
                (1000..=1003).contains(&code) || (1007..=1011).contains(&code),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn sizes_have_reasons_of_their_own() {
        let too_large = DecodeError::AttachmentsTooLarge { max: 1 };
        assert_eq!(too_large.close_reason(), CloseReason::PayloadTooLarge);
        assert_eq!(DecodeError::Payload.close_reason(), CloseReason::ParseError);
    }
}
