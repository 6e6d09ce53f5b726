//! Clients that speak neither Socket.IO nor Engine.IO: what they ask for by their query, and
//! whether they live.
//!
//! Over a WebSocket the server pings with control frames (RFC 6455, 5.5.2); the client's pong is a
//! sign of life, and so is any message. A client of an event stream cannot answer; that it is gone
//! shows when it is written to.

use std::time::Instant;

use crate::{
    error::CloseReason,
    event_stream::HEARTBEAT,
    rules::{NamespaceId, Timing},
};

/// An empty ping.
const PING: &[u8] = b"\x89\x00";

/// What is spoken with a client without Engine.IO.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Form {
    /// WebSocket messages that have no meaning here.
    Messages,
    /// [`lines`](crate::lines) over a WebSocket.
    Lines,
    /// An [`event_stream`](crate::event_stream).
    Events,
}

/// The protocol state of a client without Engine.IO.
#[derive(Debug)]
pub struct Plain {
    form: Form,
    namespace: NamespaceId,
    /// When the next ping is due, or the sign of life that is awaited.
    deadline: Instant,
    awaits_client: bool,
}

impl Plain {
    /// A client that has just connected, and is in `namespace` if its form has any.
    pub fn open(form: Form, namespace: NamespaceId, timing: &Timing, now: Instant) -> Self {
        Self {
            form,
            namespace,
            deadline: now + timing.ping_interval,
            awaits_client: false,
        }
    }

    /// Handles that the client sent a message or a pong.
    pub fn handle_sign_of_life(&mut self, now: Instant, timing: &Timing) {
        self.awaits_client = false;
        self.deadline = now + timing.ping_interval;
    }

    /// Handles that time has passed. Returns what is to be written, if anything. Does nothing
    /// before the deadline.
    ///
    /// # Errors
    /// [`CloseReason::PingTimeout`]: the client has been silent for too long.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        timing: &Timing,
    ) -> Result<Option<&'static [u8]>, CloseReason> {
        if now < self.deadline {
            return Ok(None);
        }
        if self.form == Form::Events {
            self.deadline = now + timing.ping_interval;
            return Ok(Some(HEARTBEAT));
        }
        if self.awaits_client {
            return Err(CloseReason::PingTimeout);
        }
        self.awaits_client = true;
        // As in a session: the time to answer runs from when the ping was due, but of a ping that
        // is sent too late the client has half the time at least.
        let on_time = self.deadline + timing.ping_timeout;
        self.deadline = on_time.max(now + timing.ping_timeout / 2);
        Ok(Some(PING))
    }

    /// When [`Plain::handle_timeout`] wants to be called; every call may change it.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What is spoken with the client.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The namespace of the client's channels; `None` if there are none.
    pub fn namespace(&self) -> Option<NamespaceId> {
        (self.form != Form::Messages).then_some(self.namespace)
    }
}

/// What a client without Engine.IO asks for by its query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The path of the namespace, `/` if the query names none.
    pub namespace: String,
    /// Every `channel`, in order.
    pub channels: Vec<String>,
}

impl Target {
    /// Reads a query string, without its question mark. Unknown parameters are ignored; of several
    /// namespaces the last counts.
    pub fn parse(query: &str) -> Self {
        let mut target = Self {
            namespace: "/".to_owned(),
            channels: Vec::new(),
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "namespace" => target.namespace = value.into_owned(),
                "channel" => target.channels.push(value.into_owned()),
                _ => {}
            }
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a start for time; only differences count"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn open(form: Form, start: Instant) -> Plain {
        Plain::open(form, NamespaceId(1), &Timing::default(), start)
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_client_that_shows_life_is_pinged_again_and_a_silent_one_is_given_up() {
        let (timing, start) = (Timing::default(), start());
        let mut plain = open(Form::Lines, start);
        assert_eq!(plain.handle_timeout(start + seconds(24), &timing), Ok(None));
        let ping = Ok(Some(PING));
        assert_eq!(plain.handle_timeout(start + seconds(25), &timing), ping);
        assert_eq!(plain.deadline(), start + seconds(45));
        plain.handle_sign_of_life(start + seconds(30), &timing);
        assert_eq!(plain.handle_timeout(start + seconds(55), &timing), ping);
        let silent = plain.handle_timeout(start + seconds(75), &timing);
        assert_eq!(silent, Err(CloseReason::PingTimeout));
    }

    #[test]
    fn a_late_ping_leaves_half_the_time_to_answer() {
        let (timing, start) = (Timing::default(), start());
        let mut plain = open(Form::Messages, start);
        assert!(plain.handle_timeout(start + seconds(60), &timing).is_ok());
        assert_eq!(plain.deadline(), start + seconds(70));
    }

    #[test]
    fn a_client_that_cannot_answer_is_not_waited_for() {
        let (timing, start) = (Timing::default(), start());
        let mut plain = open(Form::Events, start);
        for count in [25, 50, 75] {
            let due = plain.handle_timeout(start + seconds(count), &timing);
            assert_eq!(due, Ok(Some(HEARTBEAT)));
        }
        assert_eq!(plain.deadline(), start + seconds(100));
    }

    #[test]
    fn only_forms_with_channels_have_a_namespace() {
        let start = start();
        assert_eq!(open(Form::Messages, start).namespace(), None);
        let lines = open(Form::Lines, start);
        assert_eq!(lines.namespace(), Some(NamespaceId(1)));
    }

    #[test]
    fn queries_name_a_namespace_and_channels() {
        let target = Target::parse("channel=a%20b&x=1&namespace=%2Fan&channel=&channel=%C3%A9");
        assert_eq!(target.namespace, "/an");
        assert_eq!(target.channels, ["a b", "", "é"]);
        assert_eq!(Target::parse("").namespace, "/");
    }
}
