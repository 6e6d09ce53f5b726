//! The meaning of an error of Redis for the link that meets it.

use redis::{RedisError, ServerError};

/// Codes of a server that is not, or not for the moment, the one to be asked.
const LINK_LOST: [&str; 12] = [
    // The slot belongs to another node, or is on its way there.
    "MOVED",
    "ASK",
    "TRYAGAIN",
    // The cluster, or the slot, has no master.
    "CLUSTERDOWN",
    // The server has become a replica, or has lost the master that it copies.
    "READONLY",
    "MASTERDOWN",
    // The role has changed while the command waited.
    "UNBLOCKED",
    // The server has just started.
    "LOADING",
    // A script runs for too long. A command that is refused now is accepted later.
    "BUSY",
    // The password has changed, or the user is gone: the next login tells.
    "NOAUTH",
    "WRONGPASS",
    // The password did not change, but the protocol version was refused: connect again.
    "NOPROTO",
];

/// The meaning of an error of Redis for the link that meets it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorClass {
    /// The server does not answer, or is not the one to be asked any more: connect again, to the
    /// server that is the master, or has the slot, by then. Nothing may be given up for it.
    LinkLost,
    /// The server is the right one and refuses: an ACL forbids it, or it has no memory left. A new
    /// connection changes nothing; an operator has to.
    Refused,
    /// The server does not know the command. The embedded broker, for one, has no keys.
    NoSuchCommand,
}

impl ErrorClass {
    /// The class of an error as Redis writes it: `MOVED 3999 127.0.0.1:6381`.
    pub(crate) fn of_text(text: &str) -> Self {
        let (code, detail) = text.split_once(' ').unwrap_or((text, ""));
        Self::of(code, detail)
    }

    fn of(code: &str, detail: &str) -> Self {
        if is_link_lost(code) || is_script_without_link(code, detail) {
            Self::LinkLost
        } else if code == "ERR" && detail.starts_with("unknown command") {
            Self::NoSuchCommand
        } else {
            Self::Refused
        }
    }

    fn of_one(error: &ServerError) -> Self {
        Self::of(error.code(), error.details().unwrap_or_default())
    }
}

impl From<&RedisError> for ErrorClass {
    /// Of a pipeline's errors a lost link decides, then a refusal.
    fn from(error: &RedisError) -> Self {
        let Some(errors) = error.clone().into_server_errors() else {
            // Time-outs, ends of streams, refused logins, replies that cannot be understood.
            return Self::LinkLost;
        };
        let classes = errors.iter().map(|(_, error)| Self::of_one(error));
        classes.min_by_key(Self::rank).unwrap_or(Self::LinkLost)
    }
}

impl ErrorClass {
    const fn rank(&self) -> u8 {
        match self {
            Self::LinkLost => 0,
            Self::Refused => 1,
            Self::NoSuchCommand => 2,
        }
    }
}

/// Whether an error as Redis writes it says that the server runs a script for too long, and does
/// what it is asked later.
pub(crate) fn is_busy(text: &str) -> bool {
    text.split(' ').next() == Some("BUSY")
}

/// The remedy that a refusal of Redis calls for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusalCause {
    /// An ACL forbids a command, a key or a channel.
    Acl,
    /// Redis has reached its `maxmemory`.
    Memory,
    /// Something else, of which the error itself tells.
    Other,
}

impl From<&RedisError> for RefusalCause {
    fn from(error: &RedisError) -> Self {
        let errors = error.clone().into_server_errors();
        let has = |wanted: &str| {
            let mut codes = errors.iter().flat_map(|errors| errors.iter());
            codes.any(|(_, error)| error.code() == wanted)
        };
        if has("NOPERM") {
            Self::Acl
        } else if has("OOM") {
            Self::Memory
        } else {
            Self::Other
        }
    }
}

fn is_link_lost(code: &str) -> bool {
    LINK_LOST.contains(&code)
}

/// Redis before 7 puts an error of a script's command into the text of another error:
/// `ERR Error running script (call to f_…): @user_script:1: -READONLY You can't write …`.
fn is_script_without_link(code: &str, detail: &str) -> bool {
    let mut words = detail.split([' ', ':']);
    code == "ERR"
        && detail.starts_with("Error running script")
        && words.any(|word| word.strip_prefix('-').is_some_and(is_link_lost))
}

#[cfg(test)]
mod tests {
    use redis::{Parser, from_redis_value};

    use super::*;

    /// The error of each text, as the package for commands meets it.
    fn error(text: &str) -> RedisError {
        let reply = Parser::new().parse_value(format!("-{text}\r\n").as_bytes());
        let value = reply.expect("it is a reply");
        value.extract_error().expect_err("it is an error")
    }

    fn class_of_error(text: &str) -> ErrorClass {
        ErrorClass::from(&error(text))
    }

    #[test]
    fn a_refusal_tells_its_cause() {
        for (text, cause) in [
            (
                "NOPERM No permissions to access a channel",
                RefusalCause::Acl,
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                RefusalCause::Memory,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                RefusalCause::Other,
            ),
        ] {
            assert_eq!(RefusalCause::from(&error(text)), cause, "{text}");
        }
    }

    #[test]
    fn errors_that_another_server_would_not_give_lose_the_link() {
        for text in [
            "MOVED 3999 127.0.0.1:6381",
            "ASK 3999 127.0.0.1:6381",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "CLUSTERDOWN Hash slot not served",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "LOADING Redis is loading the dataset in memory",
            "UNBLOCKED force unblock from blocking operation, instance state changed",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL.",
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: \
             -READONLY You can't write against a read only replica.",
        ] {
            assert_eq!(ErrorClass::of_text(text), ErrorClass::LinkLost, "{text}");
            assert_eq!(class_of_error(text), ErrorClass::LinkLost, "{text}");
        }
    }

    #[test]
    fn errors_that_an_operator_has_to_mend_are_refusals() {
        for text in [
            "NOPERM this user has no permissions to access one of the channels used as arguments",
            "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "NOREPLICAS Not enough good replicas to write.",
            "ERR wrong number of arguments for 'hset' command",
            "ERR Error running script (call to f_1f): @user_script:1: the -text of a mistake",
            "",
        ] {
            assert_eq!(ErrorClass::of_text(text), ErrorClass::Refused, "{text}");
        }
        let no_permission = class_of_error("NOPERM no");
        assert_eq!(no_permission, ErrorClass::Refused);
    }

    #[test]
    fn an_unknown_command_is_told_from_a_refusal() {
        let text = "ERR unknown command 'HSET', with args beginning with: 'a' ";
        assert_eq!(ErrorClass::of_text(text), ErrorClass::NoSuchCommand);
        assert_eq!(class_of_error(text), ErrorClass::NoSuchCommand);
    }

    #[test]
    fn errors_of_the_network_lose_the_link() {
        let error = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(ErrorClass::from(&error), ErrorClass::LinkLost);
        let mistaken = from_redis_value::<u64>(redis::Value::Nil);
        let error = RedisError::from(mistaken.expect_err("nil is no number"));
        assert_eq!(ErrorClass::from(&error), ErrorClass::LinkLost);
    }
}
