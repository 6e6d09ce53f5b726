//! The refusals that nodes have a word for.

use crate::SessionError;

/// A refusal as nodes tell it to one another. A node of an earlier version knows no others, so
/// this list does not grow with [`SessionError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    UnknownSid,
    BadRequest,
    Ended,
    Unavailable,
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        match error {
            // The owner has no word for a node that is gone: to the ingress it is the node.
            SessionError::UnknownSid | SessionError::NodeGone => Self::UnknownSid,
            SessionError::Ended => Self::Ended,
            SessionError::Overloaded
            | SessionError::Draining
            | SessionError::NoMemory
            | SessionError::TooManySessions
            | SessionError::TooManyPerSecond
            | SessionError::Unopened => Self::Unavailable,
            SessionError::UnknownTransport
            | SessionError::BadMethod
            | SessionError::BadRequest
            | SessionError::Forbidden
            | SessionError::UnsupportedVersion
            | SessionError::BodyTimeout
            | SessionError::BodyTooLarge => Self::BadRequest,
        }
    }
}

impl From<Refusal> for SessionError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownSid => Self::UnknownSid,
            Refusal::BadRequest => Self::BadRequest,
            Refusal::Ended => Self::Ended,
            Refusal::Unavailable => Self::Overloaded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_answers_is_told_and_understood() {
        use SessionError::{BadRequest, Ended, NodeGone, Overloaded, UnknownSid};

        for (error, refusal) in [
            (UnknownSid, Refusal::UnknownSid),
            (BadRequest, Refusal::BadRequest),
            (Ended, Refusal::Ended),
            (Overloaded, Refusal::Unavailable),
        ] {
            assert_eq!(Refusal::from(error), refusal);
            assert_eq!(SessionError::from(refusal), error);
        }
        assert_eq!(Refusal::from(NodeGone), Refusal::UnknownSid);
    }

    /// A balancer or a client that is told to come again must be told so through another node too.
    #[test]
    fn whatever_is_answered_503_here_is_unavailable_elsewhere() {
        for &error in SessionError::ALL {
            let is_unavailable = Refusal::from(error) == Refusal::Unavailable;
            assert_eq!(is_unavailable, error.status() == 503, "{error:?}");
        }
    }
}
