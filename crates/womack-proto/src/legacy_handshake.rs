//! The requests of Socket.IO 0.9 clients: a handshake, then a transport.
//!
//! | path below `/socket.io/1` | request |
//! |---|---|
//! | `/` | a handshake; `?jsonp=0` wants it as a script |
//! | `/websocket/<sid>`, `/xhr-polling/<sid>` | the transport of a session |
//! | `/jsonp-polling/<sid>?i=0` | the same, with answers that are scripts |
//! | any with a sid and `?disconnect=1` | the page is left: the session ends |

use serde_json::from_slice;

use crate::{
    error::DecodeError, handshake::callback_number, payload::jsonp::literal, rules::Timing,
    session_error::SessionError,
};

/// The transports that a client is offered, the preferred one first.
const TRANSPORTS: &str = "websocket,xhr-polling";
/// The one that needs scripts.
const JSONP_POLLING: &str = ",jsonp-polling";

/// A request of a Socket.IO 0.9 client.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Request<'a> {
    /// Opens a session.
    Handshake {
        /// The script that wants the answer; none wants it as text.
        jsonp: Option<JsonpIndex>,
    },
    /// Carries the packets of a session.
    Transport {
        /// How.
        transport: Transport,
        /// Whose.
        sid: &'a str,
    },
    /// Ends a session.
    Disconnect {
        /// Which.
        sid: &'a str,
    },
}

/// How the packets of a Socket.IO 0.9 client travel.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Transport {
    /// WebSocket messages.
    WebSocket,
    /// Bodies of HTTP requests.
    XhrPolling,
    /// Scripts, which pages of any origin may load, and forms, which they may post.
    JsonpPolling(JsonpIndex),
}

/// Which of a page's callbacks an answer is for: the number in `io.j[0](...)`.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct JsonpIndex(u32);

impl<'a> Request<'a> {
    /// Reads what follows `/socket.io/1` in a path, and the query without its question mark.
    /// Unknown parameters are ignored; of repeated ones the last counts.
    ///
    /// # Errors
    /// [`SessionError::UnknownTransport`] for a transport that is not offered, and
    /// [`SessionError::BadRequest`] for other paths and for an index that is no number.
    pub fn parse(path: &'a str, query: &str) -> Result<Self, SessionError> {
        let (mut jsonp, mut index, mut disconnect) = (None, None, false);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "jsonp" => jsonp = Some(value),
                "i" => index = Some(value),
                "disconnect" => disconnect = true,
                _ => {}
            }
        }
        // Clients write `/1//<sid>/` when they leave.
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let parts = [(); 3].map(|()| parts.next());
        let (transport, sid) = match parts {
            [None, ..] => {
                let jsonp = jsonp.as_deref().map(callback_number).transpose()?;
                return Ok(Self::Handshake {
                    jsonp: jsonp.map(JsonpIndex),
                });
            }
            [Some(sid), None, _] | [Some(_), Some(sid), None] if disconnect => {
                return Ok(Self::Disconnect { sid });
            }
            [Some(transport), Some(sid), None] => (transport, sid),
            _ => return Err(SessionError::BadRequest),
        };
        let transport = match transport {
            "websocket" => Transport::WebSocket,
            "xhr-polling" => Transport::XhrPolling,
            "jsonp-polling" => {
                let index = index.as_deref().map(callback_number).transpose()?;
                Transport::JsonpPolling(JsonpIndex(index.unwrap_or_default()))
            }
            _ => return Err(SessionError::UnknownTransport),
        };
        Ok(Self::Transport { transport, sid })
    }
}

impl JsonpIndex {
    /// The script that hands `text` to the page: `io.j[0]("1::");`.
    pub fn script(self, text: &str) -> String {
        format!("io.j[{}]({});", self.0, literal(text))
    }

    /// The script that tells the page why its handshake failed: `io.j[0](new Error("..."));`.
    pub fn error_script(self, message: &str) -> String {
        format!("io.j[{}](new Error({}));", self.0, literal(message))
    }
}

/// The answer to a handshake: session id, heartbeat and close time-out, transports.
///
/// A client gives its server up when it hears nothing for that time, so it is never told less
/// than passes between two pings and their answers. `scripts` says whether a transport is offered
/// that needs them.
pub fn handshake_line(sid: &str, timing: &Timing, scripts: bool) -> String {
    let between_pings = timing.ping_interval.saturating_add(timing.ping_timeout);
    let wait = between_pings.max(timing.close_timeout);
    let seconds = wait.as_millis().div_ceil(1000);
    let jsonp_polling = if scripts { JSONP_POLLING } else { "" };
    format!("{sid}:{seconds}:{seconds}:{TRANSPORTS}{jsonp_polling}")
}

/// The payload in the form that a client posts over JSONP: `d`, a JSON string.
///
/// # Errors
/// [`DecodeError::Payload`] if there is no such string.
pub fn form_payload(body: &[u8]) -> Result<String, DecodeError> {
    let mut fields = form_urlencoded::parse(body);
    let (_, json) = fields
        .find(|(name, _)| name == "d")
        .ok_or(DecodeError::Payload)?;
    from_slice(json.as_bytes()).map_err(|_| DecodeError::Payload)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_are_told_by_path_and_query() {
        let handshake = |index: Option<u32>| Request::Handshake {
            jsonp: index.map(JsonpIndex),
        };
        let carried = |transport| Request::Transport {
            transport,
            sid: "s-_1",
        };
        let left = Request::Disconnect { sid: "s-_1" };
        for (path, query, expected) in [
            ("", "", handshake(None)),
            ("/", "t=1784796466", handshake(None)),
            ("/", "t=1&jsonp=0", handshake(Some(0))),
            ("/", "jsonp=x&jsonp=%312", handshake(Some(12))),
            ("/websocket/s-_1", "", carried(Transport::WebSocket)),
            ("/websocket/s-_1/", "t=1", carried(Transport::WebSocket)),
            ("/xhr-polling/s-_1", "t=1", carried(Transport::XhrPolling)),
            (
                "/jsonp-polling/s-_1",
                "t=1&i=7",
                carried(Transport::JsonpPolling(JsonpIndex(7))),
            ),
            (
                "/jsonp-polling/s-_1",
                "",
                carried(Transport::JsonpPolling(JsonpIndex(0))),
            ),
            ("/xhr-polling/s-_1", "disconnect=1", left),
            ("//s-_1/", "disconnect=1", left),
            ("/flashsocket/s-_1", "disconnect", left),
        ] {
            assert_eq!(Request::parse(path, query), Ok(expected), "{path}?{query}");
        }
    }

    #[test]
    fn other_requests_are_refused() {
        use SessionError::{BadRequest, UnknownTransport};
        for (path, query, expected) in [
            ("/", "jsonp=", BadRequest),
            ("/", "jsonp=alert", BadRequest),
            ("/", "jsonp=+1", BadRequest),
            ("/", "jsonp=4294967296", BadRequest),
            ("/websocket", "", BadRequest),
            ("/websocket/s/x", "", BadRequest),
            ("/websocket/s/x", "disconnect=1", BadRequest),
            ("/jsonp-polling/s", "i=-1", BadRequest),
            ("/flashsocket/s", "", UnknownTransport),
            ("/htmlfile/s", "", UnknownTransport),
            ("/polling/s", "", UnknownTransport),
        ] {
            assert_eq!(Request::parse(path, query), Err(expected), "{path}?{query}");
        }
    }

    #[test]
    fn a_client_waits_longer_than_the_server_takes() {
        let line = handshake_line("abc", &Timing::default(), true);
        assert_eq!(line, "abc:60:60:websocket,xhr-polling,jsonp-polling");
        let line = handshake_line("abc", &Timing::default(), false);
        assert_eq!(line, "abc:60:60:websocket,xhr-polling");
        let slow = Timing {
            ping_interval: Duration::from_millis(120_001),
            ..Timing::default()
        };
        assert!(handshake_line("a", &slow, true).starts_with("a:141:141:"));
        let never = Timing {
            ping_interval: Duration::MAX,
            ..Timing::default()
        };
        assert!(handshake_line("a", &never, true).starts_with("a:18446744073709551616:"));
    }

    #[test]
    fn scripts_hold_any_text() {
        let script = JsonpIndex(3).script("5:::\"\\\n</script>\u{2028}\u{2029}é😀");
        let expected = r#"io.j[3]("5:::\"\\\n<\/script>\u2028\u2029é😀");"#;
        assert_eq!(script, expected);
        let script = JsonpIndex(0).error_script("no \"</\"");
        assert_eq!(script, r#"io.j[0](new Error("no \"<\/\""));"#);
    }

    #[test]
    fn forms_hold_the_payload_as_a_json_string() {
        for (form, payload) in [
            ("d=%222%3A%3A%22", Ok("2::")),
            ("x=1&d=%223:::a%2Bb%5Cn%20+c%22&d=0", Ok("3:::a+b\n  c")),
            ("d=%22%C3%A9%F0%9F%98%80%22", Ok("é😀")),
            ("", Err(DecodeError::Payload)),
            ("D=%22%22", Err(DecodeError::Payload)),
            ("d=2%3A%3A", Err(DecodeError::Payload)),
            ("d=[]", Err(DecodeError::Payload)),
            ("d=%22%5Cud83d%22", Err(DecodeError::Payload)),
        ] {
            let found = form_payload(form.as_bytes());
            assert_eq!(found, payload.map(str::to_owned), "{form}");
        }
    }
}
