//! The answer of a session to a polling request.

use bytes::Bytes;

use crate::{SessionError, payload::Content};

/// The answer of a session to a GET or a POST, on its own node and between nodes alike.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// To a GET: packets.
    Packets(PollBody),
    /// To a POST: its packets were taken.
    Taken,
    /// To either: why it is refused.
    Refused(SessionError),
}

/// The body of an answer that brings packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PollBody {
    /// The kind of the content.
    pub content: Content,
    /// The bytes.
    pub bytes: Bytes,
}

impl Answer {
    /// The packets that a GET is answered.
    ///
    /// # Errors
    /// Why it is refused; a bad request if the answer is one to a POST.
    pub fn packets(self) -> Result<PollBody, SessionError> {
        match self {
            Self::Packets(body) => Ok(body),
            Self::Taken => Err(SessionError::BadRequest),
            Self::Refused(error) => Err(error),
        }
    }

    /// Whether the packets of a POST were taken.
    ///
    /// # Errors
    /// Why it is refused; a bad request if the answer is one to a GET.
    pub fn taken(self) -> Result<(), SessionError> {
        match self {
            Self::Taken => Ok(()),
            Self::Packets(_) => Err(SessionError::BadRequest),
            Self::Refused(error) => Err(error),
        }
    }

    /// The answer as a server tells it that `is_draining` or not: see [`SessionError::of_server`].
    #[must_use]
    pub fn of_server(self, is_draining: bool) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(error.of_server(is_draining)),
            answer => answer,
        }
    }
}

impl From<Result<(), SessionError>> for Answer {
    fn from(taken: Result<(), SessionError>) -> Self {
        match taken {
            Ok(()) => Self::Taken,
            Err(error) => Self::Refused(error),
        }
    }
}
