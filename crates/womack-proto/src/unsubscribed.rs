//! The event that tells a client that it is in a channel no more, although it did not leave.

use serde::Serialize;

/// The name of the event.
pub const EVENT: &str = "womack:unsubscribed";

/// The end of a membership that the client did not ask for.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Unsubscribed<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// The cause, as one of the error codes of acknowledgements: `unavailable`, for one.
    pub reason: &'a str,
}

impl Unsubscribed<'_> {
    /// The event's argument: `{"channel":"hello","reason":"unavailable"}`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names in a struct are JSON")
    }

    /// The same as a JSON line: `{"event":"womack:unsubscribed","channel":"hello","reason":…}`.
    pub fn to_line(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            event: &'a str,
            #[serde(flatten)]
            unsubscribed: Unsubscribed<'a>,
        }
        let line = Line {
            event: EVENT,
            unsubscribed: *self,
        };
        serde_json::to_string(&line).expect("names in a struct are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsubscribed_client_is_told_the_channel_and_the_reason() {
        let unsubscribed = Unsubscribed {
            channel: "a\"b",
            reason: "unavailable",
        };
        let expected = r#"{"channel":"a\"b","reason":"unavailable"}"#;
        assert_eq!(unsubscribed.to_json(), expected);
        let expected = r#"{"event":"womack:unsubscribed","channel":"a\"b","reason":"unavailable"}"#;
        assert_eq!(unsubscribed.to_line(), expected);
    }
}
