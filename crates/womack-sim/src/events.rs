//! Server events, as an application hears them.

use std::collections::BTreeMap;

use serde_json::Value;

/// The prefix of the channels of server events and of the keys of records. All have one slot.
pub(crate) const EVENTS_KEY: &str = "{womack}:events";

/// A client in a channel.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Member {
    /// The session id of the client.
    pub(crate) session: String,
    pub(crate) channel: String,
}

/// The newest event of each client in each channel.
#[derive(Default)]
pub(crate) struct Events {
    newest: BTreeMap<Member, Newest>,
}

struct Newest {
    is_in: bool,
    /// When it came.
    at: u64,
}

/// An event that does not follow from the one before it.
pub(crate) struct Repeated {
    pub(crate) member: Member,
    pub(crate) is_in: bool,
    /// When the event before it came; `None` if there was none.
    pub(crate) before: Option<u64>,
}

impl Events {
    /// An event is published at a time on a channel of Redis.
    pub(crate) fn hear(&mut self, at: u64, channel: &str, payload: &[u8]) -> Option<Repeated> {
        let is_in = channel.ends_with(":subscribe");
        let event: Value = serde_json::from_slice(payload).unwrap_or_default();
        let member = Member {
            session: event["session_id"].as_str().unwrap_or_default().to_owned(),
            channel: event["channel"].as_str().unwrap_or_default().to_owned(),
        };
        let newest = Newest { is_in, at };
        let before = self.newest.insert(member.clone(), newest);
        let was_in = before.as_ref().is_some_and(|before| before.is_in);
        (was_in == is_in).then(|| Repeated {
            member,
            is_in,
            before: before.map(|before| before.at),
        })
    }

    /// All that are in a channel by their newest event.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        let inside = self.newest.iter().filter(|(_, newest)| newest.is_in);
        inside.map(|(member, _)| member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_client_in_a_channel_take_turns() {
        let mut events = Events::default();
        let mut hear = |at, channel: &str, session: &str| {
            let event = format!(r#"{{"session_id":"{session}","channel":"c"}}"#);
            let repeated = events.hear(at, channel, event.as_bytes());
            repeated.map(|repeated| (repeated.is_in, repeated.before))
        };
        assert_eq!(hear(1, "k:subscribe", "a"), None);
        assert_eq!(hear(2, "k:subscribe", "b"), None);
        assert_eq!(hear(3, "k:unsubscribe", "a"), None);
        assert_eq!(hear(4, "k:unsubscribe", "a"), Some((false, Some(3))));
        assert_eq!(hear(5, "k:unsubscribe", "x"), Some((false, None)));
        let members = events.members();
        let sessions: Vec<_> = members.map(|member| &*member.session).collect();
        assert_eq!(sessions, ["b"]);
    }
}
