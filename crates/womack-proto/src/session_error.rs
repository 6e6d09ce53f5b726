//! Why a session is refused, and how its client is told.

/// The packet of Socket.IO 0.9 that a client with an unknown session id gets: it is to shake hands
/// again.
pub const NOT_HANDSHAKEN: &str = "7:::1+0";

/// Why a session is refused to a request: a handshake, a poll, a POST or an upgrade.
///
/// This is the only place for the status code, the bytes and the metric label of a refusal.
/// Clients of Engine.IO read a [`code`](Self::code) with a message; clients of Socket.IO 0.9 read
/// a [packet](Self::legacy_packet) or, in a script, a [word](Self::script_word).
#[non_exhaustive]
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// Neither `polling` nor `websocket`.
    #[error("Transport unknown")]
    UnknownTransport,
    /// There is no such session, or no more.
    #[error("Session ID unknown")]
    UnknownSid,
    /// The session was at another node, which is not there any more, or does not answer in time.
    #[error("The node of this session is gone")]
    NodeGone,
    /// A session is opened by GET only.
    #[error("Bad handshake method")]
    BadMethod,
    /// The request does not fit its session, or is no upgrade where it says so.
    #[error("Bad request")]
    BadRequest,
    /// The server does not want this client.
    #[error("Forbidden")]
    Forbidden,
    /// A protocol that the server does not speak.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
    /// The session has ended by no fault of its client, which opens another after any answer that
    /// fails. A balancer must not try other nodes, as it does after a 503.
    #[error("the session has ended")]
    Ended,
    /// The request was not brought to its session. A balancer may try another node.
    #[error("overloaded")]
    Overloaded,
    /// The server is about to stop.
    #[error("draining")]
    Draining,
    /// The memory budget is nearly used up.
    #[error("no memory")]
    NoMemory,
    /// There are as many sessions as there may be, in all or from one address.
    #[error("no room")]
    TooManySessions,
    /// Sessions are opened faster than they may be.
    #[error("no room")]
    TooManyPerSecond,
    /// A shard has no place for another session.
    #[error("no session can be opened")]
    Unopened,
    /// The body of a POST was not complete in time.
    #[error("the body took too long")]
    BodyTimeout,
    /// The body of a POST is larger than a client may send.
    #[error("the body is too large")]
    BodyTooLarge,
}

impl SessionError {
    /// Every error, in the order of declaration.
    pub const ALL: &'static [Self] = &[
        Self::UnknownTransport,
        Self::UnknownSid,
        Self::NodeGone,
        Self::BadMethod,
        Self::BadRequest,
        Self::Forbidden,
        Self::UnsupportedVersion,
        Self::Ended,
        Self::Overloaded,
        Self::Draining,
        Self::NoMemory,
        Self::TooManySessions,
        Self::TooManyPerSecond,
        Self::Unopened,
        Self::BodyTimeout,
        Self::BodyTooLarge,
    ];

    /// The status code of the HTTP response.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownTransport
            | Self::UnknownSid
            | Self::NodeGone
            | Self::BadMethod
            | Self::BadRequest
            | Self::UnsupportedVersion => 400,
            Self::Forbidden => 403,
            Self::BodyTimeout => 408,
            Self::Ended => 410,
            Self::BodyTooLarge => 413,
            Self::Overloaded
            | Self::Draining
            | Self::NoMemory
            | Self::TooManySessions
            | Self::TooManyPerSecond
            | Self::Unopened => 503,
        }
    }

    /// In how many seconds a client should come back, where the response says so.
    pub const fn retry_after(self) -> Option<&'static str> {
        match self {
            Self::Overloaded | Self::Draining | Self::TooManyPerSecond => Some("1"),
            Self::NoMemory | Self::TooManySessions => Some("5"),
            _ => None,
        }
    }

    /// The number that clients of Engine.IO know the error by; `None` for what Engine.IO has no
    /// number for, and is answered in plain text.
    pub const fn code(self) -> Option<u8> {
        match self {
            Self::UnknownTransport => Some(0),
            Self::UnknownSid => Some(1),
            Self::BadMethod => Some(2),
            Self::BadRequest | Self::NodeGone => Some(3),
            Self::Forbidden => Some(4),
            Self::UnsupportedVersion => Some(5),
            _ => None,
        }
    }

    /// The media type of [`body`](Self::body).
    pub const fn media_type(self) -> &'static str {
        match self.code() {
            Some(_) => "application/json",
            None => "text/plain; charset=UTF-8",
        }
    }

    /// The body of the response: `{"code":1,"message":"Session ID unknown"}`, or a line of text.
    pub fn body(self) -> String {
        match self.code() {
            Some(code) => format!(r#"{{"code":{code},"message":"{self}"}}"#),
            None => format!("{self}\n"),
        }
    }

    /// The packet that tells a client of Socket.IO 0.9, in an answer with status 200, to shake
    /// hands again; `None` for what it is told by the status code alone.
    pub const fn legacy_packet(self) -> Option<&'static str> {
        match self {
            Self::UnknownSid | Self::NodeGone | Self::Ended => Some(NOT_HANDSHAKEN),
            _ => None,
        }
    }

    /// The word for a page of Socket.IO 0.9, which learns of an error only by a script.
    pub const fn script_word(self) -> &'static str {
        match self {
            Self::Forbidden => "unauthorized",
            _ => "unavailable",
        }
    }

    /// The label in the metric of refused requests; `None` for refusals that are not counted
    /// there: a limit has a metric of its own, and a full queue or a stop is no client's mistake.
    pub const fn metric_label(self) -> Option<&'static str> {
        match self {
            Self::UnknownTransport => Some("unknown_transport"),
            Self::UnknownSid => Some("unknown_sid"),
            Self::NodeGone => Some("node_gone"),
            Self::BadMethod => Some("bad_method"),
            Self::BadRequest => Some("bad_request"),
            Self::Forbidden => Some("forbidden"),
            Self::UnsupportedVersion => Some("unsupported_version"),
            Self::Ended
            | Self::Overloaded
            | Self::Draining
            | Self::NoMemory
            | Self::TooManySessions
            | Self::TooManyPerSecond
            | Self::Unopened
            | Self::BodyTimeout
            | Self::BodyTooLarge => None,
        }
    }

    /// The error as a server tells it that `is_draining` or not: a session that is not found was
    /// then probably closed by the server's stop, and its client has done nothing wrong.
    #[must_use]
    pub const fn of_server(self, is_draining: bool) -> Self {
        match self {
            Self::UnknownSid if is_draining => Self::Ended,
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte and label of a refusal, as clients and dashboards know them.
    #[test]
    fn refusals_are_told_as_clients_know_them() {
        use SessionError::*;

        let json = |code, message| format!(r#"{{"code":{code},"message":"{message}"}}"#);
        let text = str::to_owned;
        #[rustfmt::skip]
        let expected = [
            (UnknownTransport, 400, None, json(0, "Transport unknown"), "unknown_transport"),
            (UnknownSid, 400, None, json(1, "Session ID unknown"), "unknown_sid"),
            (NodeGone, 400, None, json(3, "The node of this session is gone"), "node_gone"),
            (BadMethod, 400, None, json(2, "Bad handshake method"), "bad_method"),
            (BadRequest, 400, None, json(3, "Bad request"), "bad_request"),
            (Forbidden, 403, None, json(4, "Forbidden"), "forbidden"),
            (UnsupportedVersion, 400, None, json(5, "Unsupported protocol version"), "unsupported_version"),
            (Ended, 410, None, text("the session has ended\n"), ""),
            (Overloaded, 503, Some("1"), text("overloaded\n"), ""),
            (Draining, 503, Some("1"), text("draining\n"), ""),
            (NoMemory, 503, Some("5"), text("no memory\n"), ""),
            (TooManySessions, 503, Some("5"), text("no room\n"), ""),
            (TooManyPerSecond, 503, Some("1"), text("no room\n"), ""),
            (Unopened, 503, None, text("no session can be opened\n"), ""),
            (BodyTimeout, 408, None, text("the body took too long\n"), ""),
            (BodyTooLarge, 413, None, text("the body is too large\n"), ""),
        ];
        assert_eq!(expected.len(), SessionError::ALL.len());
        for (&error, expected) in SessionError::ALL.iter().zip(expected) {
            let label = error.metric_label().unwrap_or_default();
            let told = (
                error,
                error.status(),
                error.retry_after(),
                error.body(),
                label,
            );
            assert_eq!(told, expected);
            let is_json = error.media_type() == "application/json";
            assert_eq!(is_json, error.code().is_some(), "{error:?}");
        }
    }

    #[test]
    fn only_a_session_that_is_gone_is_a_packet_of_socket_io_0_9() {
        use SessionError::{BadRequest, Ended, NodeGone, Overloaded, UnknownSid};

        for error in [UnknownSid, NodeGone, Ended] {
            assert_eq!(error.legacy_packet(), Some("7:::1+0"), "{error:?}");
        }
        for error in [BadRequest, Overloaded] {
            assert_eq!(error.legacy_packet(), None, "{error:?}");
        }
    }

    #[test]
    fn a_stop_is_no_fault_of_a_client() {
        let unknown = SessionError::UnknownSid;
        assert_eq!(unknown.of_server(true), SessionError::Ended);
        assert_eq!(unknown.of_server(false), unknown);
        assert_eq!(
            SessionError::NodeGone.of_server(true),
            SessionError::NodeGone
        );
    }
}
