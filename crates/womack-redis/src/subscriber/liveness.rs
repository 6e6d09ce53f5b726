//! Whether the server of a connection is there, and still the one that it was.

use std::time::{Duration, Instant};

use crate::identity::{IdentityCheck, InfoAnswer, Verdict};

/// Time between two pings.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Pings without an answer, or any other word of the server, after which it is given up.
///
/// They are counted and not timed: a process that was stopped and goes on has sent none meanwhile,
/// and reads what waits in its socket before it sends so many.
const UNANSWERED_PINGS: u32 = 5;

/// Whether the server of a connection is there, and still the one that it was.
pub(super) struct Liveness {
    /// Pings that were sent since the server last said something.
    unanswered: u32,
    /// All that was published before this has been received.
    received_to: Instant,
    /// Whether a ping was answered.
    has_served: bool,
    /// There if the server's identity is asked for; its answers then say how far all was received.
    identity: Option<IdentityCheck>,
}

/// The end of a connection that the server did not ask for.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Dead {
    pub(super) since: Instant,
    pub(super) reason: String,
}

impl Liveness {
    pub(super) fn new(identity: Option<IdentityCheck>, now: Instant) -> Self {
        Self {
            unanswered: 0,
            received_to: now,
            has_served: false,
            identity,
        }
    }

    /// The server has said something, or was not listened to until now.
    pub(super) fn reset(&mut self) {
        self.unanswered = 0;
    }

    /// Another ping is due.
    ///
    /// # Errors
    /// Too many were not answered.
    pub(super) fn handle_ping_due(&mut self) -> Result<(), Dead> {
        if self.unanswered >= UNANSWERED_PINGS {
            return Err(Dead {
                since: self.received_to,
                reason: format!("redis has not answered {UNANSWERED_PINGS} pings"),
            });
        }
        self.unanswered += 1;
        Ok(())
    }

    /// Whether the server is to be asked for its identity.
    pub(super) fn asks_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// The ping that was sent then is answered.
    pub(super) fn handle_pong(&mut self, sent: Instant) {
        self.has_served = true;
        if self.identity.is_none() {
            self.received_to = sent;
        }
    }

    /// The question for the server's identity that was put then is answered. Returns the reason if
    /// the server will not tell.
    ///
    /// # Errors
    /// The server is another than it was.
    pub(super) fn handle_identity(
        &mut self,
        answer: InfoAnswer<'_>,
        asked: Instant,
    ) -> Result<Option<String>, Dead> {
        let Some(identity) = &mut self.identity else {
            return Ok(None);
        };
        match identity.handle_answer(answer, asked) {
            Verdict::First(_) | Verdict::Same => self.received_to = asked,
            Verdict::Unknown => {}
            Verdict::Unverifiable(reason) => {
                self.identity = None;
                return Ok(Some(reason));
            }
            Verdict::Changed { since, reason } => {
                let reason = format!("it {reason}");
                return Err(Dead { since, reason });
            }
        }
        Ok(None)
    }

    /// Whether a ping was answered.
    pub(super) const fn has_served(&self) -> bool {
        self.has_served
    }

    /// All that was published before this has been received.
    pub(super) const fn received_to(&self) -> Instant {
        self.received_to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_given_up_for_unanswered_pings_and_not_for_time() {
        let start = Instant::now();
        let mut liveness = Liveness::new(None, start);
        for _ in 0..UNANSWERED_PINGS {
            assert_eq!(liveness.handle_ping_due(), Ok(()));
        }
        liveness.reset();
        for _ in 0..UNANSWERED_PINGS {
            assert_eq!(liveness.handle_ping_due(), Ok(()));
        }
        let dead = liveness.handle_ping_due().unwrap_err();
        assert_eq!(dead.since, start);
    }

    #[test]
    fn a_gap_begins_at_the_last_good_answer() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let info = |role| format!("role:{role}\r\nmaster_replid:abc\r\n");
        let mut liveness = Liveness::new(Some(IdentityCheck::default()), start);
        liveness.handle_pong(at(1));
        assert_eq!(liveness.received_to(), start);
        let (master, replica) = (info("master"), info("slave"));
        for second in [1, 2] {
            let answer = InfoAnswer::Text(master.as_bytes());
            let told = liveness.handle_identity(answer, at(second));
            assert_eq!(told, Ok(None));
        }
        let answer = InfoAnswer::Text(replica.as_bytes());
        let dead = liveness.handle_identity(answer, at(3));
        assert_eq!(dead.unwrap_err().since, at(2));
    }

    #[test]
    fn a_server_that_does_not_tell_is_believed_its_pongs() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Some(IdentityCheck::default()), start);
        let refused = InfoAnswer::Refused("NOPERM no permissions to run the 'info' command");
        let told = liveness.handle_identity(refused, start);
        assert!(told.unwrap().is_some());
        assert!(!liveness.asks_identity());
        let later = start + PING_INTERVAL;
        liveness.handle_pong(later);
        assert_eq!(liveness.received_to(), later);
    }
}
