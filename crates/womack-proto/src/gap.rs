//! What a client is told when it may have missed something.

use serde::Serialize;

/// The name of the event that tells it.
pub const EVENT: &str = "womack:gap";

/// A time for which some of a client's channels brought nothing.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Gap<'a> {
    /// Their names.
    pub channels: &'a [&'a str],
    /// What was published before has been delivered; in Unix milliseconds.
    pub from: u64,
    /// What was published later is delivered; in Unix milliseconds.
    pub to: u64,
    /// Why; left out if the connection to Redis was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// Why channels brought nothing, where it was not a loss of the connection to Redis.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The namespace had more messages than it may have in a second.
    RateLimit,
}

impl Gap<'_> {
    /// The event's argument: `{"channels":["hello"],"from":1795384796466,"to":1795384799120}`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers in a struct are JSON")
    }
}
