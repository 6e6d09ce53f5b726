//! The query of a client's request, and the packet that opens a session.

use std::borrow::Cow;

use serde::Serialize;

use crate::{rules::Timing, session_error::SessionError};

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

impl Revision {
    /// Whether the client sends the pings and the server answers them; otherwise it is the other
    /// way round.
    pub const fn client_pings(self) -> bool {
        matches!(self, Self::V3)
    }
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
    /// Whether binary packets must be base64 in polling answers; Engine.IO 3 alone asks.
    pub base64: bool,
    /// The callback, by its number, that polling answers call as scripts; Engine.IO 3 alone asks.
    pub jsonp: Option<u32>,
    /// A hash of `t`, by which clients keep caches away: no two requests of a client have the same,
    /// unless a proxy or the client's own HTTP has repeated one. The same on every node.
    pub stamp: Option<u64>,
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
    /// [`SessionError::UnknownTransport`] and [`SessionError::UnsupportedVersion`];
    /// [`SessionError::BadRequest`] for a callback that is no number.
    pub fn parse(query: &str) -> Result<Self, SessionError> {
        let (mut transport, mut version, mut sid) = (None, None, None);
        let (mut base64, mut callback, mut stamp) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "transport" => transport = Some(value),
                "EIO" => version = Some(value),
                "sid" => sid = Some(value),
                "b64" => base64 = Some(value),
                "j" => callback = Some(value),
                "t" => stamp = Some(value),
                _ => {}
            }
        }
        let transport = match transport.as_deref() {
            Some("polling") => TransportKind::Polling,
            Some("websocket") => TransportKind::WebSocket,
            _ => return Err(SessionError::UnknownTransport),
        };
        let sid = sid.filter(|sid| !sid.is_empty()).map(Cow::into_owned);
        let revision = match version.as_deref() {
            Some("3") => Revision::V3,
            Some("4") => Revision::V4,
            _ if sid.is_some() => Revision::V4,
            _ => return Err(SessionError::UnsupportedVersion),
        };
        let asks = |value: &Cow<'_, str>| revision == Revision::V3 && !value.is_empty();
        let jsonp = callback.filter(asks).map(|value| callback_number(&value));
        Ok(Self {
            revision,
            transport,
            sid,
            base64: base64.is_some_and(|value| asks(&value)),
            jsonp: jsonp.transpose()?,
            stamp: stamp
                .filter(|value| !value.is_empty())
                .map(|value| hash(value.as_bytes())),
        })
    }
}

/// FNV-1a: nodes of any version and platform come to the same.
fn hash(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    bytes.iter().fold(BASIS, step)
}

/// The number of a JSONP callback. Nothing but digits may come back in a script.
pub(crate) fn callback_number(value: &str) -> Result<u32, SessionError> {
    let number = value.parse().ok();
    number
        .filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or(SessionError::BadRequest)
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
            base64: false,
            jsonp: None,
            stamp: None,
        }
    }

    /// Reads a query, but for its stamp.
    fn unstamped(query: &str) -> Result<Handshake, SessionError> {
        let read = Handshake::parse(query)?;
        Ok(Handshake {
            stamp: None,
            ..read
        })
    }

    #[test]
    fn a_stamp_is_the_same_for_the_same_text_only_and_on_every_node() {
        let stamp = |t: &str| {
            let query = format!("EIO=4&transport=polling{t}");
            Handshake::parse(&query).map(|read| read.stamp)
        };
        assert_eq!(stamp("&t=PYwNnRk"), stamp("&t=PYwNnRk"));
        assert_ne!(stamp("&t=PYwNnRk"), stamp("&t=PYwNnRl"));
        assert_eq!(stamp("&t=a"), Ok(Some(0xaf63_dc4c_8601_ec8c)));
        assert_eq!((stamp(""), stamp("&t=")), (Ok(None), Ok(None)));
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
            assert_eq!(unstamped(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn engine_io_3_says_how_it_wants_polling_answers() {
        for (query, base64, jsonp) in [
            ("EIO=3&transport=polling", false, None),
            ("transport=polling&b64=1&t=Q85HQK-&EIO=3", true, None),
            ("EIO=3&transport=polling&b64=&j=", false, None),
            ("EIO=3&transport=polling&j=0&b64=1", true, Some(0)),
            ("EIO=3&transport=polling&j=007", false, Some(7)),
        ] {
            let expected = Handshake {
                revision: Revision::V3,
                base64,
                jsonp,
                ..handshake(TransportKind::Polling, None)
            };
            assert_eq!(unstamped(query), Ok(expected), "{query}");
        }
        for callback in [
            "alert(1)",
            "0x1",
            "+1",
            "%2B1",
            "-1",
            "1.0",
            "%D9%A1",
            "4294967296",
        ] {
            let query = format!("EIO=3&transport=polling&j={callback}");
            let refused = Err(SessionError::BadRequest);
            assert_eq!(Handshake::parse(&query), refused, "{query}");
        }
        let newer = Handshake::parse("EIO=4&transport=polling&j=x&b64=1");
        assert_eq!(newer, Ok(handshake(TransportKind::Polling, None)));
    }

    #[test]
    fn refusals_follow_the_order_of_the_official_server() {
        use SessionError::{UnknownTransport, UnsupportedVersion};
        for (query, expected) in [
            ("", UnknownTransport),
            ("EIO=4", UnknownTransport),
            ("EIO=abc&transport=abc", UnknownTransport),
            ("EIO=4&transport=webtransport", UnknownTransport),
            ("EIO=4&transport=abc&sid=x", UnknownTransport),
            ("transport=polling", UnsupportedVersion),
            ("EIO=&transport=polling", UnsupportedVersion),
            ("EIO=2&transport=polling", UnsupportedVersion),
            ("EIO=33&transport=polling", UnsupportedVersion),
            ("EIO=04&transport=polling", UnsupportedVersion),
            ("eio=4&transport=polling", UnsupportedVersion),
            ("EIO=5&transport=websocket&sid=", UnsupportedVersion),
        ] {
            assert_eq!(Handshake::parse(query), Err(expected), "{query}");
        }
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
