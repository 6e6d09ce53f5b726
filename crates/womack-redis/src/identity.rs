//! Whether the server behind a connection is still the one that it was.
//!
//! A master that is made a replica (`REPLICAOF`) keeps its connections: subscribers stay, and miss
//! every message that is published at the new master. Each link therefore asks `INFO replication`
//! once a second, and compares role and replication id with those of the first answer.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tracing::warn;

use crate::error_class::ErrorClass;

/// The replication id that Redis gives to nobody.
const NO_ID: &[u8] = &[b'0'; 40];

const DETACHED: &str = "is a replica that does not reach its master (master_link_status is not \
                        up): mend its replication, or name the master in the Redis URL";

/// The role of a server in replication.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Master,
    Replica,
}

/// The parts of `INFO replication` that tell a server from another, or from itself before.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Identity {
    role: Role,
    /// `master_replid`: the history of writes that the server is a part of.
    history: Vec<u8>,
    /// `master_replid2`: the history that this one continues; `None` if it continues none.
    continues: Option<Vec<u8>>,
    /// Whether it is a replica that does not reach its master (`master_link_status`), so that it
    /// brings nothing of what is published there.
    is_detached: bool,
}

/// The answer of a server to `INFO replication`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InfoAnswer<'a> {
    Text(&'a [u8]),
    /// An error, as Redis writes it.
    Refused(&'a str),
}

/// The meaning of an answer.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The first answer of this connection. It is remembered.
    First(Role),
    /// The server is the one that it was.
    Same,
    /// The server is another than it was. Messages may be missing since the last good answer was
    /// asked for: the connection has to be made again, to the master that is one by then.
    Changed {
        /// When the last good answer was asked for.
        since: Instant,
        /// For people, said of the server: `is a replica now`.
        reason: &'static str,
    },
    /// The server does not tell, for this reason, and will not tell later. Delivery goes on
    /// unverified. It is said once, also over several connections: see [`warn_unverified`].
    Unverifiable(String),
    /// The answer tells nothing, and need not be told: the server cannot tell for the moment, or
    /// it was said before that it does not.
    Unknown,
}

/// Compares the answers of the server of one connection.
#[derive(Debug, Default)]
pub(crate) struct IdentityCheck {
    first: Option<Identity>,
    /// When the first question of this connection was put. Its answer may have told nothing.
    first_asked: Option<Instant>,
    /// When the last good answer of this connection was asked for.
    last_good: Option<Instant>,
    was_unverifiable: bool,
}

impl IdentityCheck {
    /// Compares an answer to a question that was put at `asked`, which is what counts: all that was
    /// published before is on its way.
    pub(crate) fn handle_answer(&mut self, answer: InfoAnswer<'_>, asked: Instant) -> Verdict {
        let first_asked = *self.first_asked.get_or_insert(asked);
        let identity = match answer {
            InfoAnswer::Text(text) => Identity::parse(text).ok_or("it has no master_replid"),
            InfoAnswer::Refused(text) if ErrorClass::of_text(text) == ErrorClass::LinkLost => {
                return Verdict::Unknown;
            }
            InfoAnswer::Refused(text) => Err(text),
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(reason) => return self.unverifiable(reason),
        };
        if identity.is_detached {
            return Verdict::Changed {
                since: self.last_good.unwrap_or(first_asked),
                reason: DETACHED,
            };
        }
        let (Some(first), Some(since)) = (&self.first, self.last_good) else {
            let role = identity.role;
            self.first = Some(identity);
            self.last_good = Some(asked);
            return Verdict::First(role);
        };
        if let Some(reason) = first.change(&identity) {
            return Verdict::Changed { since, reason };
        }
        self.first = Some(identity);
        self.last_good = Some(asked);
        Verdict::Same
    }

    fn unverifiable(&mut self, reason: &str) -> Verdict {
        if mem::replace(&mut self.was_unverifiable, true) {
            return Verdict::Unknown;
        }
        Verdict::Unverifiable(reason.to_owned())
    }
}

/// Says once that the identity of `server` cannot be checked on a link, named as in `subscriber`.
pub(crate) fn warn_unverified(link: &'static str, server: &dyn Display, reason: &str) {
    warn!(
        link,
        %server,
        reason,
        "cannot check that redis is still the master: after a failover that keeps connections, \
         messages go missing unnoticed; delivery goes on unverified; if an ACL forbids it, allow \
         INFO (ACL SETUSER ... +info)"
    );
}

impl Identity {
    /// Reads the section "Replication"; `None` if a field is missing that every Redis has since
    /// version 4.
    fn parse(text: &[u8]) -> Option<Self> {
        let fields = || {
            text.split(|byte| *byte == b'\n')
                .map(<[u8]>::trim_ascii_end)
        };
        let field = |name: &[u8]| fields().find_map(|line| line.strip_prefix(name));
        let role = match field(b"role:")? {
            b"master" => Role::Master,
            b"slave" | b"replica" => Role::Replica,
            _ => return None,
        };
        let history = field(b"master_replid:")?;
        if history.is_empty() {
            return None;
        }
        let continues = field(b"master_replid2:").filter(|id| *id != NO_ID);
        let master_link = field(b"master_link_status:");
        Some(Self {
            role,
            is_detached: role == Role::Replica && master_link.is_some_and(|link| link != b"up"),
            history: history.to_vec(),
            continues: continues.map(<[u8]>::to_vec),
        })
    }

    /// How `now` differs from this, if it is not the same server in the same place.
    fn change(&self, now: &Self) -> Option<&'static str> {
        match (self.role, now.role) {
            (Role::Master, Role::Replica) => Some("is a replica now"),
            (Role::Replica, Role::Master) => Some("is a master now"),
            _ if self.history == now.history => None,
            // A master begins a new history by itself, when its first replica comes and when its
            // last has been gone for `repl-backlog-ttl`. It then continues none, in contrast to a
            // replica that was made a master.
            (Role::Master, Role::Master) if now.continues.is_none() => None,
            _ => Some("has another replication id"),
        }
    }
}

/// The kinds of links that were reported because their servers do not tell their identity.
/// Clones share them.
#[derive(Clone, Default)]
pub(crate) struct UnverifiedLinks(Arc<Mutex<BTreeSet<&'static str>>>);

impl UnverifiedLinks {
    /// Logs the first such server of a kind of link.
    pub(crate) fn warn_once(&self, link: &'static str, server: &dyn Display, reason: &str) {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(link) {
            warn_unverified(link, server, reason);
        }
    }
}

impl fmt::Debug for UnverifiedLinks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UnverifiedLinks")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn info(role: &str, history: char, continues: char) -> String {
        let id = |digit: char| String::from(digit).repeat(40);
        format!(
            "# Replication\r\nrole:{role}\r\nconnected_slaves:0\r\nmaster_replid:{}\r\n\
             master_replid2:{}\r\nmaster_repl_offset:0\r\n",
            id(history),
            id(continues)
        )
    }

    /// The verdicts on answers that were asked for each second.
    fn verdicts(answers: &[&str]) -> Vec<Verdict> {
        let (mut check, start) = (IdentityCheck::default(), start());
        let verdict = |(at, answer): (u64, &&str)| {
            let asked = start + Duration::from_secs(at);
            let answer = match answer.strip_prefix('-') {
                Some(refused) => InfoAnswer::Refused(refused),
                None => InfoAnswer::Text(answer.as_bytes()),
            };
            check.handle_answer(answer, asked)
        };
        (0..).zip(answers).map(verdict).collect()
    }

    /// Only differences count.
    fn start() -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now)
    }

    fn changed(since: u64, reason: &'static str) -> Verdict {
        Verdict::Changed {
            since: start() + Duration::from_secs(since),
            reason,
        }
    }

    #[test]
    fn a_server_that_answers_alike_is_the_same() {
        let master = info("master", 'a', '0');
        let expected = [Verdict::First(Role::Master), Verdict::Same, Verdict::Same];
        assert_eq!(verdicts(&[&master, &master, &master]), expected);
        let replica = info("slave", 'a', '0');
        let expected = [Verdict::First(Role::Replica), Verdict::Same];
        assert_eq!(verdicts(&[&replica, &replica]), expected);
    }

    #[test]
    fn a_changed_role_is_a_loss_since_the_last_good_answer() {
        let (master, replica) = (info("master", 'a', '0'), info("slave", 'a', '0'));
        let seen = verdicts(&[&master, &master, &replica]);
        assert_eq!(seen[2], changed(1, "is a replica now"));
        let seen = verdicts(&[&replica, &master]);
        assert_eq!(seen[1], changed(0, "is a master now"));
    }

    #[test]
    fn a_replica_that_does_not_reach_its_master_is_a_loss_at_once() {
        let up = format!("{}master_link_status:up\r\n", info("slave", 'a', '0'));
        let down = up.replace("status:up", "status:down");
        let seen = verdicts(&[&up, &up, &down]);
        assert_eq!(seen[2], changed(1, DETACHED));
        assert_eq!(verdicts(&[&down])[0], changed(0, DETACHED));
        // Whatever was subscribed since the first question may have been at this replica.
        let busy = "-BUSY Redis is busy running a script.";
        assert_eq!(verdicts(&[busy, &down])[1], changed(0, DETACHED));
    }

    #[test]
    fn a_master_that_was_a_replica_in_between_has_another_id() {
        let (before, after) = (info("master", 'a', '0'), info("master", 'b', 'a'));
        let seen = verdicts(&[&before, &after]);
        assert_eq!(seen[1], changed(0, "has another replication id"));
        let (before, after) = (info("slave", 'a', '0'), info("slave", 'b', '0'));
        let seen = verdicts(&[&before, &after]);
        assert_eq!(seen[1], changed(0, "has another replication id"));
    }

    #[test]
    fn a_master_whose_first_replica_came_is_the_same() {
        let (before, after) = (info("master", 'a', '0'), info("master", 'b', '0'));
        let seen = verdicts(&[&before, &after, &after, &before]);
        assert_eq!(seen[1..], [Verdict::Same, Verdict::Same, Verdict::Same]);
    }

    #[test]
    fn a_refused_question_is_told_once_and_delivery_goes_on() {
        let refused = "-NOPERM this user has no permissions to run the 'info' command";
        let master = info("master", 'a', '0');
        let seen = verdicts(&[refused, refused, &master, refused, &info("slave", 'a', '0')]);
        assert_eq!(seen[0], Verdict::Unverifiable(refused[1..].to_owned()));
        assert_eq!(seen[1], Verdict::Unknown);
        assert_eq!(seen[2], Verdict::First(Role::Master));
        assert_eq!(seen[3], Verdict::Unknown);
        assert_eq!(seen[4], changed(2, "is a replica now"));
    }

    #[test]
    fn an_answer_without_an_id_is_as_good_as_none() {
        for text in [
            "",
            "role:master\r\n",
            "master_replid:a\r\n",
            "role:x\r\nmaster_replid:a",
            "\n",
        ] {
            let seen = verdicts(&[text, text]);
            let reason = "it has no master_replid".to_owned();
            assert_eq!(
                seen,
                [Verdict::Unverifiable(reason), Verdict::Unknown],
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_server_that_cannot_tell_for_the_moment_is_asked_again() {
        let busy = "-BUSY Redis is busy running a script.";
        let master = info("master", 'a', '0');
        let seen = verdicts(&[busy, &master, busy, &master]);
        let expected = [
            Verdict::Unknown,
            Verdict::First(Role::Master),
            Verdict::Unknown,
            Verdict::Same,
        ];
        assert_eq!(seen, expected);
    }
}
