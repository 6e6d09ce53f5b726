//! An event's name and arguments, left as text until somebody decodes them.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::error::DecodeError;

/// An event that a client sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The event's name. A number as a name is its JSON text.
    pub name: String,
    /// The arguments after the name: JSON texts separated by commas, without brackets, valid and
    /// otherwise as they were sent.
    pub args: String,
    /// What placeholders in the arguments refer to. That they do is not checked.
    pub attachments: Vec<Bytes>,
    /// The number to acknowledge the event by, if the client wants that.
    pub ack: Option<u64>,
}

impl Event {
    /// Decodes the arguments as a sequence: `event.decode_args::<(String, u32)>()`.
    ///
    /// # Errors
    /// [`DecodeError::Arguments`] if they are other arguments, or more, or less.
    pub fn decode_args<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let array = format!("[{}]", self.args);
        serde_json::from_str(&array).map_err(|error| DecodeError::Arguments(error.to_string()))
    }
}
