//! Why requests of clients are not done.

use womack_ledger::Limit;
use womack_proto::{ChannelError, lines};

/// Why a request is not done; what its answer says.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The argument has not the form of a request.
    #[error("the argument is neither {{\"channel\": ...}} nor {{\"channels\": [...]}}")]
    BadRequest,
    /// A name is no channel.
    #[error("{0}")]
    BadChannel(#[from] ChannelError),
    /// The client would be in too many channels.
    #[error("a client may subscribe to {0} channels at most")]
    TooManyChannels(usize),
    /// The node has as many channels as it may, and one of these would be another.
    #[error("this server takes no further channels at present")]
    NodeChannels,
    /// Redis, or the presence store, has not answered in time, or refuses.
    #[error("the message source did not answer in time")]
    Unavailable,
    /// There is not one argument of plain JSON.
    #[error("there is not one argument of plain JSON")]
    NotOneArgument,
    /// The argument is larger than so many bytes.
    #[error("the argument is larger than {0} bytes")]
    TooLarge(usize),
    /// Events of clients are not wanted.
    #[error("this server takes no events from clients")]
    EventForbidden,
    /// The namespace has no presence.
    #[error("this namespace does not tell who is in a channel")]
    PresenceForbidden,
    /// The message is none of Juggernaut.
    #[error("the message is no request of Juggernaut's")]
    NoJuggernautRequest,
    /// The event is not known.
    #[error("there is no such event")]
    UnknownEvent,
    /// The line is no request.
    #[error("a line is {{\"subscribe\": [...]}} or {{\"unsubscribe\": [...]}}")]
    NotALine,
    /// No channel is named.
    #[error("the query names no channel")]
    NoChannel,
    /// The namespace is not known.
    #[error("there is no such namespace")]
    UnknownNamespace,
    /// The namespace is for clients of Socket.IO only.
    #[error("this namespace is for clients of Socket.IO")]
    SocketIoOnly,
}

impl Problem {
    /// The word for it in the protocol.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadRequest
            | Self::NotOneArgument
            | Self::TooLarge(_)
            | Self::NoJuggernautRequest
            | Self::UnknownEvent
            | Self::NotALine
            | Self::NoChannel
            | Self::UnknownNamespace => "bad_request",
            Self::EventForbidden | Self::PresenceForbidden | Self::SocketIoOnly => "forbidden",
            Self::BadChannel(_) => "bad_channel",
            Self::TooManyChannels(_) | Self::NodeChannels => "too_many_channels",
            Self::Unavailable => "unavailable",
        }
    }

    /// The limit of the settings that was reached, as the metrics name it.
    pub const fn limit(&self) -> Option<Limit> {
        match self {
            Self::BadChannel(ChannelError::TooLong { .. }) => Some(Limit::MaxChannelBytes),
            Self::TooManyChannels(_) => Some(Limit::MaxChannelsPerClient),
            Self::NodeChannels => Some(Limit::MaxChannels),
            _ => None,
        }
    }

    /// What an acknowledgement, or the body of an HTTP answer, says.
    pub fn answer(&self) -> String {
        lines::refused(self.code(), &self.to_string(), None)
    }
}
