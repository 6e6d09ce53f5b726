//! How a client hears that it is in channels, or is not.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use womack_proto::lines::{self, Verb};

use super::problem::Problem;

/// The way in which a client hears that it is in channels, or is not.
#[derive(Clone, Debug)]
pub(crate) enum JoinReply {
    /// By the acknowledgement with the number that the client gave it.
    Ack(u64),
    /// By a line, with the id that the client gave the request, if it did.
    Line(Option<Box<RawValue>>),
    /// By its event stream, which begins, or does not.
    StreamOpen,
}

/// The texts of an answer.
#[derive(Clone, Debug)]
pub(crate) enum JoinTexts {
    /// The server's own, which are written when they are sent: a request that waits keeps the names
    /// of its channels, and no text.
    Stock,
    /// Those of a handler.
    Given {
        /// The text when all channels are live.
        live: Box<str>,
        /// The text when they will not be.
        unavailable: Box<str>,
    },
}

/// The answer to a request to join channels.
#[derive(Clone, Debug)]
pub(crate) struct JoinAnswer {
    pub(crate) reply: JoinReply,
    pub(crate) texts: JoinTexts,
}

impl JoinAnswer {
    /// The text that says that channels of these names are live, or why they will not be.
    pub(crate) fn text(&self, joined: Result<&[&str], &Problem>) -> Cow<'_, str> {
        let text = match (&self.texts, joined) {
            (JoinTexts::Given { live, .. }, Ok(_)) => return Cow::Borrowed(live),
            (JoinTexts::Given { unavailable, .. }, Err(_)) => return Cow::Borrowed(unavailable),
            (JoinTexts::Stock, Ok(names)) => match &self.reply {
                JoinReply::Ack(_) => success(names),
                JoinReply::Line(id) => lines::done(Verb::Subscribe, names, id.as_deref()),
                JoinReply::StreamOpen => String::new(),
            },
            (JoinTexts::Stock, Err(problem)) => match &self.reply {
                JoinReply::Ack(_) => problem.answer(),
                JoinReply::Line(id) => {
                    lines::refused(problem.code(), &problem.to_string(), id.as_deref())
                }
                JoinReply::StreamOpen => String::new(),
            },
        };
        Cow::Owned(text)
    }

    /// The bytes that it keeps beside itself.
    pub(crate) fn held_bytes(&self) -> usize {
        let id = match &self.reply {
            JoinReply::Line(Some(id)) => id.get().len(),
            _ => 0,
        };
        let texts = match &self.texts {
            JoinTexts::Stock => 0,
            JoinTexts::Given { live, unavailable } => live.len() + unavailable.len(),
        };
        id + texts
    }
}

/// The acknowledgement of a request about channels of these names:
/// `{"ok":true,"channels":["a"]}`.
pub(crate) fn success<S: Serialize>(names: &[S]) -> String {
    #[derive(Serialize)]
    struct Answer<'a, S> {
        ok: bool,
        channels: &'a [S],
    }
    let answer = Answer {
        ok: true,
        channels: names,
    };
    serde_json::to_string(&answer).expect("names in a struct are JSON")
}
