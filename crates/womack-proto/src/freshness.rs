//! How long a published message is of use, and what it replaces.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What an envelope says of itself for clients that read slowly: under `key` what it is the state
/// of, under `ttl` for how many seconds it is of use. Anything else there says nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Freshness {
    /// A later message of the same channel and key takes this one's place.
    pub key: Option<Box<str>>,
    /// For how long it is of use.
    pub ttl: Option<Duration>,
}

impl Freshness {
    /// Reads an envelope that was checked.
    pub fn of(envelope: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Options<'a> {
            #[serde(borrow)]
            key: Option<&'a RawValue>,
            #[serde(borrow)]
            ttl: Option<&'a RawValue>,
        }
        // An array would be taken for one whose values have no names.
        if !envelope.trim_ascii_start().starts_with(b"{") {
            return Self::default();
        }
        let Ok(options) = serde_json::from_slice::<Options<'_>>(envelope) else {
            return Self::default();
        };
        let key = options.key.map(|key| serde_json::from_str(key.get()));
        let ttl = options.ttl.map(|ttl| serde_json::from_str(ttl.get()));
        let seconds = ttl.and_then(Result::ok);
        Self {
            key: key.and_then(Result::ok),
            ttl: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.ttl.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_says_what_it_replaces_and_for_how_long_it_is_of_use() {
        let freshness = Freshness::of(br#"{"data":{"key":1},"ttl":1.5,"key":"p\u00e9"}"#);
        assert_eq!(freshness.key.as_deref(), Some("pé"));
        assert_eq!(freshness.ttl, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn what_is_none_says_nothing() {
        for envelope in [
            "1",
            "[]",
            r#"["a","b"]"#,
            r#"{"data":1}"#,
            r#"{"key":1,"ttl":"soon"}"#,
            r#"{"key":null,"ttl":-1}"#,
            r#"{"ttl":1e999}"#,
            r#"{"key":"\ud83d"}"#,
            r#"{"key":"a","key":"b"}"#,
        ] {
            assert!(Freshness::of(envelope.as_bytes()).is_empty(), "{envelope}");
        }
    }
}
