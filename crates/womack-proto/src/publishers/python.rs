//! python-socketio and Flask-SocketIO: `RedisManager(write_only=True)`.
//!
//! JSON on one Redis channel, `{"method": "emit", "event": "name", "data": [...], "binary": false,
//! "namespace": "/", "room": null, "skip_sid": null, ...}`. With attachments, `binary` is true and
//! `data` is the arguments with placeholders, then the attachments in base64. Versions 5.14.0 and
//! 5.14.1 have no `binary`, and `data` is the only argument. Before 5.14.0 messages were pickled.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Action, Emission, Instruction, MAX_ATTACHMENTS, PublicationError, Selection, from_json,
    inside_array,
    names::{Name, Names},
};

/// How every pickle of protocol 2 and later begins; no JSON does.
const PICKLE: u8 = 0x80;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    method: std::borrow::Cow<'a, str>,
    namespace: Option<String>,
    #[serde(default)]
    room: Names,
    sid: Option<String>,
    event: Option<Name>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    binary: Option<bool>,
    #[serde(default)]
    skip_sid: Names,
}

/// Reads a message.
///
/// # Errors
/// [`PublicationError::Pickle`], [`PublicationError::Unsupported`] for what servers tell one
/// another, and everything that is no message.
pub fn decode(message: &[u8]) -> Result<Instruction, PublicationError> {
    if message.first() == Some(&PICKLE) {
        return Err(PublicationError::Pickle);
    }
    let message: Message<'_> = from_json(message)?;
    let (rooms, except, action) = match &*message.method {
        "emit" => {
            let event = message.event.ok_or(PublicationError::Form)?;
            let data = message.data.map_or("null", RawValue::get);
            let (args, attachments) = arguments(data, message.binary)?;
            let emission = Emission::new(event.0, args, attachments)?;
            let except = message.skip_sid.into_vec();
            (message.room.0, except, Action::Emit(emission))
        }
        "disconnect" => (
            Some(one(message.sid)?),
            Vec::new(),
            Action::Disconnect { close: false },
        ),
        "enter_room" => (
            Some(one(message.sid)?),
            Vec::new(),
            Action::Join(message.room.into_vec()),
        ),
        "leave_room" => (
            Some(one(message.sid)?),
            Vec::new(),
            Action::Leave(message.room.into_vec()),
        ),
        "close_room" => {
            let rooms = message.room.into_vec();
            (Some(rooms.clone()), Vec::new(), Action::Leave(rooms))
        }
        _ => return Err(PublicationError::Unsupported),
    };
    Ok(Instruction {
        clients: Selection {
            namespace: message.namespace.unwrap_or_else(|| "/".to_owned()),
            rooms,
            except,
        },
        action,
    })
}

fn one(sid: Option<String>) -> Result<Vec<String>, PublicationError> {
    sid.map(|sid| vec![sid]).ok_or(PublicationError::Form)
}

/// The arguments, and the attachments that placeholders in them refer to.
fn arguments(data: &str, binary: Option<bool>) -> Result<(String, Vec<Bytes>), PublicationError> {
    let args = match binary {
        None => data,
        Some(false) if !data.starts_with('[') => data,
        Some(false) => inside_array(data).ok_or(PublicationError::Form)?,
        Some(true) => {
            let parts: Vec<&RawValue> =
                serde_json::from_str(data).map_err(|_| PublicationError::Form)?;
            let (args, attachments) = parts.split_first().ok_or(PublicationError::Form)?;
            if attachments.len() > MAX_ATTACHMENTS {
                return Err(PublicationError::TooManyAttachments);
            }
            let args = inside_array(args.get()).ok_or(PublicationError::Form)?;
            let attachments: Option<_> = attachments.iter().map(|part| base64(part)).collect();
            return Ok((args.to_owned(), attachments.ok_or(PublicationError::Form)?));
        }
    };
    // `None` alone is no argument.
    let args = if args == "null" { "" } else { args };
    Ok((args.to_owned(), Vec::new()))
}

fn base64(text: &RawValue) -> Option<Bytes> {
    let text = text.get().strip_prefix('"')?.strip_suffix('"')?;
    STANDARD.decode(text).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emitted(message: &str) -> (Selection, Emission) {
        match decode(message.as_bytes()).expect(message) {
            Instruction {
                clients,
                action: Action::Emit(emission),
            } => (clients, emission),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn emits_say_what_and_for_whom() {
        // As python-socketio 5.18.1 writes it.
        let (clients, emission) = emitted(
            r#"{"method": "emit", "event": "news", "data": [{"n": 9007199254740993}], "binary":
             false, "namespace": "/", "room": "a", "skip_sid": null, "callback": null,
             "host_id": "f"}"#,
        );
        assert_eq!(clients.namespace, "/");
        assert_eq!(clients.rooms.as_deref(), Some(&["a".to_owned()][..]));
        assert!(clients.except.is_empty());
        assert_eq!(emission.name, "news");
        assert_eq!(emission.args, r#"{"n": 9007199254740993}"#);

        let (clients, _) = emitted(
            r#"{"method":"emit","event":"e","data":[],"namespace":"/b","room":["a","b"],
             "skip_sid":["s","t"]}"#,
        );
        assert_eq!(clients.namespace, "/b");
        assert_eq!(clients.rooms.map(|rooms| rooms.len()), Some(2));
        assert_eq!(clients.except, ["s", "t"]);
        let (clients, _) = emitted(r#"{"method":"emit","event":"e","skip_sid":"s"}"#);
        assert_eq!((clients.rooms, clients.except), (None, vec!["s".into()]));
        let (clients, _) = emitted(r#"{"method":"emit","event":"e","room":[]}"#);
        assert_eq!(clients.rooms, Some(vec![]), "nobody, not everybody");
    }

    #[test]
    fn data_is_a_list_of_arguments_or_before_that_the_only_one() {
        for (data, binary, expected) in [
            (r#"["a",{"b":[ 1 ]}]"#, "false", r#""a",{"b":[ 1 ]}"#),
            ("[null]", "false", ""),
            ("[null, null]", "false", "null, null"),
            ("[]", "false", ""),
            ("[[1,2]]", "false", "[1,2]"),
            ("1", "false", "1"),
            ("null", "false", ""),
            ("[1,2]", "null", "[1,2]"),
            ("null", "null", ""),
            ("\"a\"", "null", "\"a\""),
        ] {
            let message =
                format!(r#"{{"method":"emit","event":"e","data":{data},"binary":{binary}}}"#);
            assert_eq!(emitted(&message).1.args, expected, "{message}");
        }
    }

    #[test]
    fn attachments_follow_the_arguments() {
        let (_, emission) = emitted(
            r#"{"method":"emit","event":"e","binary":true,"data":[["a",
             {"b":{"_placeholder":true,"num":0}}],"AQI="]}"#,
        );
        assert!(emission.args.starts_with("\"a\","), "{}", emission.args);
        assert_eq!(emission.attachments, [&[1_u8, 2][..]]);
        for (data, error) in [
            (r#"[[1],"!"]"#, PublicationError::Form),
            (r#"[[1],1]"#, PublicationError::Form),
            (r#"[1,"AQI="]"#, PublicationError::Form),
            ("[]", PublicationError::Form),
            ("1", PublicationError::Form),
            (
                r#"[[{"_placeholder":true,"num":1}],"AQI="]"#,
                PublicationError::Placeholder,
            ),
            (
                r#"[[1],"","","","","","","","","","",""]"#,
                PublicationError::TooManyAttachments,
            ),
        ] {
            let message = format!(r#"{{"method":"emit","event":"e","data":{data},"binary":true}}"#);
            assert_eq!(decode(message.as_bytes()), Err(error), "{data}");
        }
    }

    #[test]
    fn the_other_methods_are_about_one_client_or_one_room() {
        for (message, rooms, action) in [
            (
                r#"{"method":"disconnect","sid":"s","namespace":"/"}"#,
                "s",
                Action::Disconnect { close: false },
            ),
            (
                r#"{"method":"enter_room","sid":"s","room":"a","namespace":"/"}"#,
                "s",
                Action::Join(vec!["a".into()]),
            ),
            (
                r#"{"method":"leave_room","sid":"s","room":7,"namespace":"/"}"#,
                "s",
                Action::Leave(vec!["7".into()]),
            ),
            (
                r#"{"method":"close_room","room":"a","namespace":"/"}"#,
                "a",
                Action::Leave(vec!["a".into()]),
            ),
        ] {
            let instruction = decode(message.as_bytes()).expect(message);
            assert_eq!(instruction.clients.rooms, Some(vec![rooms.to_owned()]));
            assert_eq!(instruction.action, action, "{message}");
        }
    }

    #[test]
    fn other_messages_are_refused() {
        for (message, error) in [
            (&b"\x80\x04\x95"[..], PublicationError::Pickle),
            (b"\xff", PublicationError::NotUtf8),
            (b"", PublicationError::NotJson),
            (b"{\"method\":\"emit\"", PublicationError::NotJson),
            (
                br#"{"method":"emit","event":"e","data":[NaN]}"#,
                PublicationError::NotJson,
            ),
            (b"[]", PublicationError::Form),
            (b"{}", PublicationError::Form),
            (b"{\"method\":\"emit\"}", PublicationError::Form),
            (b"{\"method\":\"disconnect\"}", PublicationError::Form),
            (
                br#"{"method":"emit","event":"connect"}"#,
                PublicationError::ReservedEvent,
            ),
            (
                br#"{"method":"callback","sid":"s","id":1,"args":[]}"#,
                PublicationError::Unsupported,
            ),
        ] {
            assert_eq!(decode(message), Err(error), "{}", message.escape_ascii());
        }
    }
}
