//! The query of a client's request, and the packet that opens a session.

use std::borrow::Cow;

use serde::Serialize;

use crate::rules::Timing;

/// Which generation of the protocol a client speaks.
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq)]
pub enum Revision {
    /// Socket.IO 0.9, before there was an Engine.IO.
    Legacy,
    /// Engine.IO 3, Socket.IO 4: clients 1.x and 2.x.
    V3,
    /// Engine.IO 4, Socket.IO 5: clients 3.x and 4.x.
    V4,
}

/// How a client's packets travel.
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq)]
pub enum TransportKind {
    /// Bodies of HTTP requests.
    Polling,
    /// WebSocket messages.
    WebSocket,
}

/// What the query of a request says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Handshake {
    /// The protocol. It is the session's that counts where there is a `sid`.
    pub revision: Revision,
    /// The transport of this request.
    pub transport: TransportKind,
    /// The session that the request belongs to; none opens one.
    pub sid: Option<String>,
}

impl Handshake {
    /// Reads a query string, without its question mark. Unknown parameters are ignored; of
    /// repeated ones the last counts.
    ///
    /// The checks come in the order of the official server: the transport first, the version only
    /// where there is no `sid`. What the query cannot tell (method, upgrade, whether the session
    /// exists) is for the caller to check.
    ///
    /// # Errors
    /// [`HandshakeError::UnknownTransport`] and [`HandshakeError::UnsupportedVersion`].
    pub fn parse(query: &str) -> Result<Self, HandshakeError> {
        let (mut transport, mut version, mut sid) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "transport" => transport = Some(value),
                "EIO" => version = Some(value),
                "sid" => sid = Some(value),
                _ => {}
            }
        }
        let transport = match transport.as_deref() {
            Some("polling") => TransportKind::Polling,
            Some("websocket") => TransportKind::WebSocket,
            _ => return Err(HandshakeError::UnknownTransport),
        };
        let sid = sid.filter(|sid| !sid.is_empty()).map(Cow::into_owned);
        if sid.is_none() && version.as_deref() != Some("4") {
            return Err(HandshakeError::UnsupportedVersion);
        }
        Ok(Self {
            revision: Revision::V4,
            transport,
            sid,
        })
    }
}

/// Why a request is refused; the codes are those of Engine.IO.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum HandshakeError {
    /// Neither `polling` nor `websocket`.
    #[error("Transport unknown")]
    UnknownTransport,
    /// There is no such session, or no more.
    #[error("Session ID unknown")]
    UnknownSid,
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
}

impl HandshakeError {
    /// The number that clients know the error by.
    pub const fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadMethod => 2,
            Self::BadRequest => 3,
            Self::Forbidden => 4,
            Self::UnsupportedVersion => 5,
        }
    }

    /// The body of the answer, `{"code":1,"message":"Session ID unknown"}`.
    pub fn body(self) -> String {
        format!(r#"{{"code":{},"message":"{self}"}}"#, self.code())
    }
}

/// The packet that opens a session, `0{"sid":...}`. `upgrades` says that the client may go on to
/// a WebSocket.
pub fn open_packet(sid: &str, upgrades: bool, timing: &Timing, max_payload: usize) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Open<'a> {
        sid: &'a str,
        upgrades: &'a [&'a str],
        ping_interval: u128,
        ping_timeout: u128,
        max_payload: usize,
    }
    let open = Open {
        sid,
        upgrades: if upgrades { &["websocket"] } else { &[] },
        ping_interval: timing.ping_interval.as_millis(),
        ping_timeout: timing.ping_timeout.as_millis(),
        max_payload,
    };
    let json = serde_json::to_string(&open).expect("a struct of strings and numbers is JSON");
    format!("0{json}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn handshake(transport: TransportKind, sid: Option<&str>) -> Handshake {
        Handshake {
            revision: Revision::V4,
            transport,
            sid: sid.map(str::to_owned),
        }
    }

    #[test]
    fn parameters_come_in_any_order_among_others() {
        use TransportKind::{Polling, WebSocket};
        for (query, expected) in [
            ("EIO=4&transport=websocket", handshake(WebSocket, None)),
            (
                "transport=polling&b64=1&EIO=4&t=dqh2vq41",
                handshake(Polling, None),
            ),
            (
                "&&t&EIO=4&=x&transport=p%6Flling&",
                handshake(Polling, None),
            ),
            (
                "EIO=4&transport=polling&sid=7Dp4n_-A",
                handshake(Polling, Some("7Dp4n_-A")),
            ),
            (
                "transport=polling&sid=%C3%A9",
                handshake(Polling, Some("é")),
            ),
            ("EIO=4&transport=polling&sid=", handshake(Polling, None)),
            (
                "EIO=3&EIO=4&transport=x&transport=polling",
                handshake(Polling, None),
            ),
        ] {
            assert_eq!(Handshake::parse(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn refusals_follow_the_order_of_the_official_server() {
        use HandshakeError::{UnknownTransport, UnsupportedVersion};
        for (query, expected) in [
            ("", UnknownTransport),
            ("EIO=4", UnknownTransport),
            ("EIO=abc&transport=abc", UnknownTransport),
            ("EIO=4&transport=webtransport", UnknownTransport),
            ("EIO=4&transport=abc&sid=x", UnknownTransport),
            ("transport=polling", UnsupportedVersion),
            ("EIO=&transport=polling", UnsupportedVersion),
            ("EIO=3&transport=polling", UnsupportedVersion),
            ("EIO=04&transport=polling", UnsupportedVersion),
            ("eio=4&transport=polling", UnsupportedVersion),
            ("EIO=5&transport=websocket&sid=", UnsupportedVersion),
        ] {
            assert_eq!(Handshake::parse(query), Err(expected), "{query}");
        }
    }

    #[test]
    fn errors_have_the_bodies_that_clients_know() {
        let body = r#"{"code":1,"message":"Session ID unknown"}"#;
        assert_eq!(HandshakeError::UnknownSid.body(), body);
        let body = r#"{"code":5,"message":"Unsupported protocol version"}"#;
        assert_eq!(HandshakeError::UnsupportedVersion.body(), body);
    }

    #[test]
    fn the_open_packet_has_all_five_keys() {
        let timing = Timing {
            ping_interval: Duration::from_millis(300),
            ping_timeout: Duration::from_millis(200),
            ..Timing::default()
        };
        let tail = r#""pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#;
        assert_eq!(
            open_packet("a-1", true, &timing, 1_000_000),
            format!(r#"0{{"sid":"a-1","upgrades":["websocket"],{tail}"#),
        );
        assert_eq!(
            open_packet("a\"", false, &timing, 1_000_000),
            format!(r#"0{{"sid":"a\"","upgrades":[],{tail}"#),
        );
    }
}
