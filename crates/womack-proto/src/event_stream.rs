//! Server-sent events: what clients hear that ask for a `text/event-stream` (HTML Standard, 9.2).
//!
//! ```text
//! event: womack:session
//! data: {"session":"wmi2jAAAAAAAAFmS8fVcP8Qx"}
//!
//! event: hello
//! id: c268b68c-7
//! data: {"data":{"hello":"world"}}
//! ```
//!
//! Every event ends with an empty line. A client that comes back says which event it had last; as
//! nothing is stored, it is told that there may be a gap, and never more than that.

use std::{fmt, io::Write, iter};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    gap,
    unsubscribed::{self, Unsubscribed},
};

/// The media type.
pub const MEDIA_TYPE: &str = "text/event-stream";

/// A comment, which keeps what is on the way from taking the connection for dead.
pub const HEARTBEAT: &[u8] = b":\n\n";

const DATA: &[u8] = b"data: ";

/// Names a message among all that one server has passed on: `c268b68c-7`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct EventId {
    /// The server.
    pub node: u32,
    /// How many messages it had passed on.
    pub number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.node, self.number)
    }
}

/// What all messages of a channel begin with: `event: hello` and the next line's name. An event's
/// name cannot have the characters that end a line; they are written as in a URL, `%0A` and `%0D`.
pub fn message_prefix(channel: &str) -> Vec<u8> {
    let name = channel.replace('\n', "%0A").replace('\r', "%0D");
    format!("event: {name}\nid: ").into_bytes()
}

/// The event of a message; `prefix` is the channel's [`message_prefix`]. Where the JSON goes over
/// several lines, so does the event, and the client puts them together with a line feed between
/// two.
pub fn message(prefix: &[u8], id: EventId, json: &[u8]) -> Bytes {
    const ID_BYTES: usize = 29;

    let most = prefix.len() + ID_BYTES + DATA.len() + json.len() + b"\n\n\n".len();
    let mut event = Vec::with_capacity(most);
    event.extend_from_slice(prefix);
    writeln!(event, "{id}").expect("a vector takes everything");
    for line in lines(json) {
        event.extend_from_slice(DATA);
        event.extend_from_slice(line);
        event.push(b'\n');
    }
    event.push(b'\n');
    event.into()
}

/// The first event, which tells the client its session id.
pub fn session(sid: &str) -> String {
    #[derive(Serialize)]
    struct Session<'a> {
        session: &'a str,
    }
    event("womack:session", &Session { session: sid })
}

/// The event that tells a client that has come back that it may have missed something after the
/// event `last`.
pub fn gap(last: &str) -> String {
    #[derive(Serialize)]
    struct Gap<'a> {
        last: &'a str,
    }
    event(gap::EVENT, &Gap { last })
}

/// The event that tells a client that it may have missed something meanwhile.
pub fn missed(gap: &gap::Gap<'_>) -> String {
    event(gap::EVENT, gap)
}

/// The event that tells a client that it is in a channel no more.
pub fn unsubscribed(told: &Unsubscribed<'_>) -> String {
    event(unsubscribed::EVENT, told)
}

fn event(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).expect("a string in a struct is JSON");
    format!("event: {name}\ndata: {data}\n\n")
}

/// The lines of a text, whatever ends them.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            rest = None;
            return Some(text);
        };
        let (line, ending) = text.split_at(end);
        rest = ending.strip_prefix(b"\r\n").or_else(|| ending.get(1..));
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EventId = EventId {
        node: 0xc2,
        number: u64::MAX,
    };

    fn text(channel: &str, json: &str) -> String {
        let event = message(&message_prefix(channel), ID, json.as_bytes());
        String::from_utf8(event.into()).unwrap()
    }

    #[test]
    fn a_message_is_name_id_and_data() {
        assert_eq!(
            text("a b", r#"{"data":1}"#),
            "event: a b\nid: 000000c2-18446744073709551615\ndata: {\"data\":1}\n\n"
        );
    }

    #[test]
    fn lines_end_by_any_of_three_endings() {
        let event = text("a", "[\n1,\r\n 2\r\r]\n");
        let (_, data) = event.split_once("data").unwrap();
        assert_eq!(data, ": [\ndata: 1,\ndata:  2\ndata: \ndata: ]\ndata: \n\n");
    }

    #[test]
    fn a_name_stays_on_its_line() {
        let event = text("a\ndata: x\r\n\n", "1");
        assert!(event.starts_with("event: a%0Adata: x%0D%0A%0A\nid: "));
    }

    #[test]
    fn first_events_are_json() {
        assert_eq!(
            session("x"),
            "event: womack:session\ndata: {\"session\":\"x\"}\n\n"
        );
        assert_eq!(
            gap("a\n\"b"),
            "event: womack:gap\ndata: {\"last\":\"a\\n\\\"b\"}\n\n"
        );
        let missed = missed(&gap::Gap {
            channels: &["a"],
            from: 1,
            to: 2,
            reason: None,
        });
        let data = r#"{"channels":["a"],"from":1,"to":2}"#;
        assert_eq!(missed, format!("event: womack:gap\ndata: {data}\n\n"));
    }
}
