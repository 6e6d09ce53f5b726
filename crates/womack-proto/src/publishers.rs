//! What publishers of other families send by Redis.
//!
//! Programs that spoke to another Socket.IO server before womack keep the library that they
//! publish with. Each family has a form of its own; all of them come down to an [`Instruction`],
//! or, where the form is womack's own but for the address, to [`Addressed`].
//!
//! | module | who sends it |
//! |---|---|
//! | [`emitter`] | `@socket.io/redis-emitter` and its ports |
//! | [`python`] | python-socketio and Flask-SocketIO, `RedisManager(write_only=True)` |
//! | [`laravel`] | Laravel's Redis broadcaster |
//! | [`addressed`] | Juggernaut's publishers, and the body of an HTTP publish |
//! | [`juggernaut`] | Juggernaut's browser client |

use bytes::Bytes;
use serde::Deserialize;

pub mod addressed;
pub mod emitter;
mod frames;
pub mod juggernaut;
pub mod laravel;
mod msgpack;
mod names;
mod placeholders;
pub mod python;

pub use self::{addressed::Addressed, frames::Frames};

use crate::channel::is_reserved_event;

/// Attachments that one event may have: with more of them, today's JavaScript clients take the
/// packet for an attack and disconnect (`maxAttachments` of socket.io-parser 4.2).
const MAX_ATTACHMENTS: usize = 10;

/// What shall be done for some clients of a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// Whom it is for.
    pub clients: Selection,
    /// What it is.
    pub action: Action,
}

/// Clients of a namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selection {
    /// The path of the namespace.
    pub namespace: String,
    /// Those in any of these rooms, each the name of a channel or the id of a session. `None` are
    /// all clients of the namespace.
    pub rooms: Option<Vec<String>>,
    /// But none in these.
    pub except: Vec<String>,
}

/// What shall be done for clients.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send them an event.
    Emit(Emission),
    /// Put them into these channels.
    Join(Vec<String>),
    /// Take them out of these channels.
    Leave(Vec<String>),
    /// Take them out of the namespace.
    Disconnect {
        /// End their connections, too.
        close: bool,
    },
}

/// An event to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// The event's name.
    pub name: String,
    /// Its arguments: JSON texts separated by commas, without brackets.
    pub args: String,
    /// What placeholders in the arguments refer to; all of them are there.
    pub attachments: Vec<Bytes>,
}

impl Emission {
    /// The event as frames for clients of the namespace at `path`.
    pub fn frames(&self, path: &str) -> Frames {
        Frames::new(self, path)
    }

    /// Checks what clients rely on.
    fn new(name: String, args: String, attachments: Vec<Bytes>) -> Result<Self, PublicationError> {
        if is_reserved_event(&name) {
            return Err(PublicationError::ReservedEvent);
        }
        if attachments.len() > MAX_ATTACHMENTS {
            return Err(PublicationError::TooManyAttachments);
        }
        if !attachments.is_empty() {
            placeholders::check(&args, attachments.len())?;
        }
        Ok(Self {
            name,
            args,
            attachments,
        })
    }
}

/// Why a message of a publisher is thrown away.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PublicationError {
    /// A text that is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not one JSON text.
    #[error("not JSON")]
    NotJson,
    /// Not one MessagePack value.
    #[error("not MessagePack")]
    NotMessagePack,
    /// Python's pickle, which can hold code and is therefore never read.
    #[error("pickled; python-socketio 5.14 and later send JSON")]
    Pickle,
    /// Valid, but nothing that this family of publishers sends.
    #[error("another form than expected")]
    Form,
    /// Sent by this family, but not for clients: what servers ask one another, say.
    #[error("nothing that clients can be told")]
    Unsupported,
    /// An event with a name that only the library itself may use.
    #[error("reserved event name")]
    ReservedEvent,
    /// More attachments than clients take.
    #[error("more than {MAX_ATTACHMENTS} attachments")]
    TooManyAttachments,
    /// Nested too deeply.
    #[error("nested too deeply")]
    TooDeep,
    /// A placeholder for an attachment that is not there.
    #[error("placeholder without an attachment")]
    Placeholder,
}

impl PublicationError {
    /// Every reason, in the order of declaration.
    pub const ALL: &'static [Self] = &[
        Self::NotUtf8,
        Self::NotJson,
        Self::NotMessagePack,
        Self::Pickle,
        Self::Form,
        Self::Unsupported,
        Self::ReservedEvent,
        Self::TooManyAttachments,
        Self::TooDeep,
        Self::Placeholder,
    ];

    /// The reason as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "utf8",
            Self::NotJson => "json",
            Self::NotMessagePack => "messagepack",
            Self::Pickle => "pickle",
            Self::Form => "form",
            Self::Unsupported => "unsupported",
            Self::ReservedEvent => "reserved_event",
            Self::TooManyAttachments => "too_many_attachments",
            Self::TooDeep => "too_deep",
            Self::Placeholder => "placeholder",
        }
    }
}

/// Reads a message that should be one JSON text.
fn from_json<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Result<T, PublicationError> {
    let text = str::from_utf8(message).map_err(|_| PublicationError::NotUtf8)?;
    serde_json::from_str(text).map_err(|error| match error.is_data() {
        true => PublicationError::Form,
        false => PublicationError::NotJson,
    })
}

/// What is between the brackets of a JSON text that is known to be an array.
fn inside_array(array: &str) -> Option<&str> {
    array.strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

fn to_json(text: &str) -> String {
    serde_json::to_string(text).expect("every string is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let mut labels: Vec<_> = PublicationError::ALL.iter().map(|e| e.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), PublicationError::ALL.len());
    }

    #[test]
    fn an_emission_is_what_clients_take() {
        let emission = |name: &str, args: &str, attachments: usize| {
            Emission::new(name.into(), args.into(), vec![Bytes::new(); attachments]).map(drop)
        };
        let placeholder = r#"{"_placeholder":true,"num":1}"#;
        for (name, args, attachments, expected) in [
            ("m", "", 0, Ok(())),
            ("disconnect", "", 0, Err(PublicationError::ReservedEvent)),
            ("m", placeholder, 0, Ok(())),
            ("m", placeholder, 1, Err(PublicationError::Placeholder)),
            ("m", placeholder, 2, Ok(())),
            ("m", "1", 10, Ok(())),
            ("m", "1", 11, Err(PublicationError::TooManyAttachments)),
        ] {
            assert_eq!(emission(name, args, attachments), expected, "{name} {args}");
        }
    }
}
