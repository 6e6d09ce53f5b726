//! The published message: one JSON text, usually `{"data": ..., ...options}`.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Sessions that must not get a message; nearly always none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Except(Box<[Box<str>]>);

impl Except {
    /// Whether everybody gets the message.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids of the sessions that do not.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|id| &**id)
    }
}

/// Why a published message is thrown away.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    /// The payload is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The payload is not one JSON text.
    #[error("not JSON")]
    NotJson,
}

impl EnvelopeError {
    /// The reason as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "utf8",
            Self::NotJson => "json",
        }
    }
}

/// Memory that [`check`] uses again for every message.
#[derive(Default)]
pub struct Scratch {
    copy: Vec<u8>,
}

/// Checks that `payload` is one JSON text in UTF-8 and finds whom it must not reach.
///
/// # Errors
/// [`EnvelopeError`], for what is not JSON.
pub fn check(payload: &[u8], scratch: &mut Scratch) -> Result<Except, EnvelopeError> {
    scratch.copy.clear();
    let text = std::str::from_utf8(payload).map_err(|_| EnvelopeError::NotUtf8)?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| EnvelopeError::NotJson)?;
    Ok(Except::default())
}
