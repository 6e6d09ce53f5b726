//! Laravel's Redis broadcaster, as laravel-echo-server passes it on.
//!
//! `{"event": "App\\Events\\Shipped", "data": {...}, "socket": null}`, published on
//! `<prefix><channel>`. Clients get an event named `event` with two arguments, the channel's name
//! and the data.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Action, Emission, Instruction, PublicationError, Selection, from_json, names::Names, to_json,
};

/// Whether Laravel lets only those subscribe to `channel` whom the application authorises.
///
/// `channel` may still begin with a part of Laravel's prefix, where less of it was configured. So a
/// guarded name counts after any separator, as in `laravel_database_private-orders`.
pub fn is_guarded(channel: &str) -> bool {
    ["private-", "presence-"].into_iter().any(|guard| {
        let mut places = channel.match_indices(guard);
        places.any(|(at, _)| !channel[..at].ends_with(char::is_alphanumeric))
    })
}

/// Reads a message for `channel`, which its Redis channel named.
///
/// # Errors
/// Everything but an event.
pub fn decode(message: &[u8], channel: &str) -> Result<Instruction, PublicationError> {
    #[derive(Deserialize)]
    struct Message<'a> {
        event: String,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
        #[serde(default)]
        socket: Names,
    }
    let message: Message<'_> = from_json(message)?;
    let data = message.data.map_or("null", RawValue::get);
    let args = format!("{},{data}", to_json(channel));
    Ok(Instruction {
        clients: Selection {
            namespace: "/".to_owned(),
            rooms: Some(vec![channel.to_owned()]),
            except: message.socket.into_vec(),
        },
        action: Action::Emit(Emission::new(message.event, args, Vec::new())?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_channel_and_the_data_as_arguments() {
        for (message, args, except) in [
            (
                r#"{"event":"A\\B","data":{"n":9007199254740993},"socket":null}"#,
                r#""orders.1",{"n":9007199254740993}"#,
                &[][..],
            ),
            (
                r#"{"socket":"s","data":[ ],"event":"A\\B"}"#,
                r#""orders.1",[ ]"#,
                &["s"],
            ),
            (r#"{"event":"A\\B"}"#, r#""orders.1",null"#, &[]),
        ] {
            let instruction = decode(message.as_bytes(), "orders.1").expect(message);
            assert_eq!(instruction.clients.rooms, Some(vec!["orders.1".into()]));
            assert_eq!(instruction.clients.except, except);
            let Action::Emit(emission) = instruction.action else {
                panic!("{message}");
            };
            assert_eq!((&*emission.name, &*emission.args), ("A\\B", args));
        }
    }

    #[test]
    fn other_messages_are_refused() {
        for (message, error) in [
            (&b"hello"[..], PublicationError::NotJson),
            (b"{\"event\":\"a\",\"data\":}", PublicationError::NotJson),
            (b"{\"event\":\"\xff\"}", PublicationError::NotUtf8),
            (b"{\"data\":1}", PublicationError::Form),
            (b"{\"event\":1}", PublicationError::Form),
            (b"{\"event\":\"connect\"}", PublicationError::ReservedEvent),
        ] {
            assert_eq!(
                decode(message, "a"),
                Err(error),
                "{}",
                message.escape_ascii()
            );
        }
    }

    #[test]
    fn some_channels_are_guarded() {
        for channel in [
            "private-orders.1",
            "presence-room",
            "private-encrypted-orders.1",
            // With what is left of a prefix that was configured too short, or not at all.
            "prefix:private-x",
            "app_private-x",
            "laravel-database-private-orders.1",
            "laravel_database_presence-room",
            "_private-x",
            "a.presence-x",
            "myprivate-:private-x",
        ] {
            assert!(is_guarded(channel), "{channel}");
        }
        for channel in [
            "orders.1",
            "private",
            "privateer-1",
            "myprivate-x",
            "orders.private",
        ] {
            assert!(!is_guarded(channel), "{channel}");
        }
    }
}
