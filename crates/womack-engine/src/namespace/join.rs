//! How a client hears that it is in channels, or is not.

/// The way in which a client hears that it is in channels, or is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum JoinReply {
    /// By the acknowledgement with the number that the client gave it.
    Ack(u64),
    /// By a line, which has no number: the client knows it by what it calls it.
    Line,
    /// By its event stream, which begins, or does not.
    StreamOpen,
}

/// The answer to a request to join channels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct JoinAnswer {
    pub(crate) reply: JoinReply,
    /// Its text when all channels are live.
    pub(crate) live: String,
    /// Its text when they will not be.
    pub(crate) unavailable: String,
}
