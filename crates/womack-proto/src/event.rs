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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(args: &str) -> Event {
        Event {
            name: "m".to_owned(),
            args: args.to_owned(),
            attachments: Vec::new(),
            ack: None,
        }
    }

    #[test]
    fn arguments_decode_as_a_sequence() {
        assert_eq!(event("").decode_args(), Ok(()).map(|()| [0_u8; 0]));
        assert_eq!(event(r#""a",2"#).decode_args(), Ok(("a".to_owned(), 2)));
        assert_eq!(event("1,2,3").decode_args(), Ok(vec![1, 2, 3]));
        assert_eq!(
            event("9007199254740993").decode_args(),
            Ok((9_007_199_254_740_993_u64,))
        );
    }

    #[test]
    fn other_arguments_are_the_clients_mistake() {
        for args in ["", "1", "\"a\",1", r#""\ud83d""#] {
            let decoded = event(args).decode_args::<(String,)>();
            assert!(matches!(decoded, Err(DecodeError::Arguments(_))), "{args}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(event(&deep).decode_args::<serde_json::Value>().is_err());
    }
}
