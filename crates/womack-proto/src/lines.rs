//! JSON lines: what clients without Socket.IO say and hear over a WebSocket, one JSON object in
//! each text message.
//!
//! ```text
//! server  {"session":"K19LcR3dwTTucqpaAAAB"}
//! client  {"subscribe":["hello"],"id":1}
//! server  {"ok":true,"subscribed":["hello"],"id":1}
//! server  {"channel":"hello","message":{"data":{"hello":"world"}}}
//! client  {"unsubscribe":["hello"]}
//! server  {"ok":true,"unsubscribed":["hello"]}
//! server  {"gap":{"channels":["hello"],"from":1795384796466,"to":1795384799120}}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{frame::Frame, gap::Gap};

/// What a client asks for.
#[derive(Debug)]
pub struct Request<'a> {
    /// To join channels, or to leave them.
    pub verb: Verb,
    /// Their names, at least one.
    pub channels: Vec<String>,
    /// What the answer is to be known by; any JSON.
    pub id: Option<&'a RawValue>,
}

/// What is to be done with channels.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Verb {
    /// Join them.
    Subscribe,
    /// Leave them.
    Unsubscribe,
}

/// A line that asks for nothing that there is.
#[derive(Debug)]
pub struct NotARequest<'a> {
    /// What the answer is to be known by, if that can be told.
    pub id: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// Reads a line. Unknown keys are ignored; one name may stand for a list of one.
    ///
    /// # Errors
    /// The line is no JSON object, does not have exactly one of `subscribe` and `unsubscribe`, or
    /// has something else there than names.
    pub fn decode(line: &'a str) -> Result<Self, NotARequest<'a>> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            subscribe: Option<&'a RawValue>,
            #[serde(borrow)]
            unsubscribe: Option<&'a RawValue>,
            #[serde(borrow)]
            id: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Names {
            One(String),
            Many(Vec<String>),
        }
        let is_object = line.trim_start().starts_with('{');
        let Some(Line {
            subscribe,
            unsubscribe,
            id,
        }) = serde_json::from_str(line).ok().filter(|_| is_object)
        else {
            return Err(NotARequest { id: None });
        };
        let (verb, names) = match (subscribe, unsubscribe) {
            (Some(names), None) => (Verb::Subscribe, names),
            (None, Some(names)) => (Verb::Unsubscribe, names),
            _ => return Err(NotARequest { id }),
        };
        let channels = match serde_json::from_str(names.get()) {
            Ok(Names::One(name)) => vec![name],
            Ok(Names::Many(names)) if !names.is_empty() => names,
            _ => return Err(NotARequest { id }),
        };
        Ok(Self { verb, channels, id })
    }

    /// The line that says that the request is done.
    pub fn done(&self) -> String {
        done(self.verb, &self.channels, self.id)
    }
}

/// The line that says that a request is done which had this `id`.
pub fn done<S: Serialize>(verb: Verb, channels: &[S], id: Option<&RawValue>) -> String {
    #[derive(Serialize)]
    struct Done<'a, S> {
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        subscribed: Option<&'a [S]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        unsubscribed: Option<&'a [S]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
    }
    let of = |wanted| (verb == wanted).then_some(channels);
    to_json(&Done {
        ok: true,
        subscribed: of(Verb::Subscribe),
        unsubscribed: of(Verb::Unsubscribe),
        id,
    })
}

/// The line that says why a request is not done.
pub fn refused(code: &str, message: &str, id: Option<&RawValue>) -> String {
    #[derive(Serialize)]
    struct Refused<'a> {
        ok: bool,
        error: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
    }
    to_json(&Refused {
        ok: false,
        error: code,
        message,
        id,
    })
}

/// The first line, which tells the client its session id.
pub fn session(sid: &str) -> String {
    #[derive(Serialize)]
    struct Session<'a> {
        session: &'a str,
    }
    to_json(&Session { session: sid })
}

/// The line that tells a client that it may have missed something: `{"gap":{"channels":…}}`.
pub fn missed(gap: &Gap<'_>) -> String {
    #[derive(Serialize)]
    struct Missed<'a> {
        gap: &'a Gap<'a>,
    }
    to_json(&Missed { gap })
}

/// What comes before the published JSON in a message's line: `{"channel":"hello","message":`.
pub fn message_prefix(channel: &str) -> Vec<u8> {
    let mut prefix = br#"{"channel":"#.to_vec();
    serde_json::to_writer(&mut prefix, channel).expect("a string is JSON and a vector takes it");
    prefix.extend_from_slice(br#","message":"#);
    prefix
}

/// The frame of a message's line; `prefix` is the channel's [`message_prefix`]. It costs one
/// allocation.
pub fn message(prefix: &[u8], json: &[u8]) -> Frame {
    Frame::text(&[prefix, json, b"}"])
}

fn to_json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("structs of strings, flags and JSON are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn requests_name_channels_in_any_form() {
        for (line, verb, channels, id) in [
            (
                r#"{"subscribe":["a","b"]}"#,
                Verb::Subscribe,
                &["a", "b"][..],
                None,
            ),
            (
                r#" {"id":[1, 2],"subscribe":"a","x":null}"#,
                Verb::Subscribe,
                &["a"],
                Some("[1, 2]"),
            ),
            (
                r#"{"unsubscribe":["\u00e9"],"subscribe":null,"id":"x"}"#,
                Verb::Unsubscribe,
                &["é"],
                Some("\"x\""),
            ),
        ] {
            let request = Request::decode(line).unwrap();
            assert_eq!((request.verb, request.channels), (verb, owned(channels)));
            assert_eq!(request.id.map(RawValue::get), id);
        }
    }

    #[test]
    fn other_lines_are_none_and_keep_their_id_if_they_can() {
        for (line, id) in [
            ("", None),
            ("null", None),
            ("[\"a\",null,1]", None),
            ("{\"subscribe\":[\"a\"]", None),
            (r#"{"subscribe":["a"]}{}"#, None),
            (r#"{"id":1}"#, Some("1")),
            (r#"{"id":1,"subscribe":[]}"#, Some("1")),
            (r#"{"id":1,"subscribe":[1]}"#, Some("1")),
            (r#"{"id":1,"subscribe":{"channel":"a"}}"#, Some("1")),
            (r#"{"id":1,"subscribe":"a","unsubscribe":"b"}"#, Some("1")),
            (r#"{"id":1,"subscribe":["\ud83d"]}"#, Some("1")),
        ] {
            let refused = Request::decode(line).unwrap_err();
            assert_eq!(refused.id.map(RawValue::get), id, "{line}");
        }
        let deep = format!("{{\"subscribe\":{}", "[".repeat(100_000));
        assert!(Request::decode(&deep).is_err());
    }

    #[test]
    fn answers_are_objects_with_the_id_at_their_end() {
        let request = Request::decode(r#"{"subscribe":["a\n"],"id": {"n": 1}}"#).unwrap();
        assert_eq!(
            request.done(),
            r#"{"ok":true,"subscribed":["a\n"],"id":{"n": 1}}"#
        );
        let request = Request::decode(r#"{"unsubscribe":"a"}"#).unwrap();
        assert_eq!(request.done(), r#"{"ok":true,"unsubscribed":["a"]}"#);
        assert_eq!(
            refused("bad_channel", "a \"name\"", None),
            r#"{"ok":false,"error":"bad_channel","message":"a \"name\""}"#
        );
        assert_eq!(session("x"), r#"{"session":"x"}"#);
    }

    #[test]
    fn a_message_is_passed_on_byte_for_byte() {
        let frame = message(&message_prefix("a\"b"), b"{\"n\": 1.0e9}");
        let payload = br#"{"channel":"a\"b","message":{"n": 1.0e9}}"#;
        assert_eq!(frame, Frame::text(&[payload]));
    }
}
