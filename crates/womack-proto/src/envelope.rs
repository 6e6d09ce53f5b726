//! The published message: one JSON text, usually `{"data": ..., ...options}`.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use simd_json::{
    Buffers, INPUT_PADDING, Tape, fill_tape_padded, prelude::ValueAsScalar, tape::Value,
};

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

/// Payloads beyond this do not keep their memory in a [`Scratch`].
const MAX_KEPT_BYTES: usize = 1 << 16;

/// Memory that [`check`] uses again for every message.
pub struct Scratch {
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            copy: Vec::new(),
            buffers: Buffers::default(),
            tape: Tape(Vec::new()),
        }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("bytes", &self.copy.capacity())
            .finish_non_exhaustive()
    }
}

/// Checks that `payload` is one JSON text in UTF-8 and finds whom it must not reach.
///
/// That is what a top-level object says under `except`: a session id or a list of them. Of
/// several the last counts, as for `JSON.parse`; anything else there excepts nobody.
///
/// # Errors
/// [`EnvelopeError`], for what is not JSON.
pub fn check(payload: &[u8], scratch: &mut Scratch) -> Result<Except, EnvelopeError> {
    // The parser unescapes strings in place and reads a little beyond the end.
    scratch.copy.clear();
    scratch.copy.reserve(payload.len() + INPUT_PADDING);
    scratch.copy.extend_from_slice(payload);
    scratch.copy.resize(payload.len() + INPUT_PADDING, 0);

    let mut tape = std::mem::replace(&mut scratch.tape, Tape(Vec::new())).reset();
    let parsed = fill_tape_padded(
        &mut scratch.copy,
        payload.len(),
        &mut scratch.buffers,
        &mut tape,
    );
    let except = parsed.map(|()| excepted_on_tape(tape.as_value()));
    scratch.tape = tape.reset();

    if payload.len() > MAX_KEPT_BYTES {
        *scratch = Scratch::default();
    }
    except.or_else(|_| second_opinion(payload))
}

fn excepted_on_tape(value: Value<'_, '_>) -> Except {
    let Some(object) = value.as_object() else {
        return Except::default();
    };
    let Some((_, except)) = object.iter().filter(|(key, _)| *key == "except").last() else {
        return Except::default();
    };
    if let Some(ids) = except.as_array() {
        return Except(
            ids.iter()
                .filter_map(|id| id.as_str().map(Box::from))
                .collect(),
        );
    }
    Except(except.as_str().map(Box::from).into_iter().collect())
}

/// Decides about what simd-json refuses: it knows no exponents beyond a double's, no escapes of
/// half a surrogate pair and no nesting beyond 1,024 levels, all of which are JSON.
fn second_opinion(payload: &[u8]) -> Result<Except, EnvelopeError> {
    let text = std::str::from_utf8(payload).map_err(|_| EnvelopeError::NotUtf8)?;
    let value: &RawValue = serde_json::from_str(text).map_err(|_| EnvelopeError::NotJson)?;
    let Ok(LastExcept(Some(except))) = serde_json::from_str(value.get()) else {
        return Ok(Except::default());
    };
    let string = |id: &RawValue| serde_json::from_str::<Box<str>>(id.get()).ok();
    if let Ok(ids) = serde_json::from_str::<Vec<&RawValue>>(except.get()) {
        return Ok(Except(ids.into_iter().filter_map(string).collect()));
    }
    Ok(Except(string(except).into_iter().collect()))
}

/// The value of an object's last `except`. Everything else stays unread, so that there is nothing
/// in it to stumble over.
struct LastExcept<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for LastExcept<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = LastExcept<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut last = None;
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    // A key of half a surrogate pair is no string to Rust.
                    if serde_json::from_str::<String>(key.get()).is_ok_and(|key| key == "except") {
                        last = Some(value);
                    }
                }
                Ok(LastExcept(last))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(payload: &str) -> Vec<String> {
        let except = check(payload.as_bytes(), &mut Scratch::default()).expect(payload);
        except.ids().map(str::to_owned).collect()
    }

    #[test]
    fn any_json_value_passes() {
        for payload in [
            r#"{"data":{"hello":"world"}}"#,
            " 1\n",
            "null",
            "\"é😀\"",
            "[]",
            "9007199254740993",
            "123456789012345678901234567890123456789012345678901234567890",
            "1e999",
            "-1E-999",
            r#""\ud83d""#,
            r#"{"\udc00":1}"#,
        ] {
            assert_eq!(ids(payload), [""; 0], "{payload}");
        }
    }

    #[test]
    fn nothing_else_passes() {
        let mut scratch = Scratch::default();
        for payload in [
            "",
            " ",
            "{",
            "nul",
            "1 2",
            "{'a':1}",
            "[1,]",
            "\"\n\"",
            "01",
            "1.",
            "\u{feff}1",
            "1e",
        ] {
            let refused = check(payload.as_bytes(), &mut scratch);
            assert_eq!(refused, Err(EnvelopeError::NotJson), "{payload:?}");
        }
        for payload in [&b"\"\xff\""[..], b"\xed\xa0\x80", b"{\"a\":1}\xc3"] {
            assert_eq!(
                check(payload, &mut scratch),
                Err(EnvelopeError::NotUtf8),
                "{payload:?}"
            );
        }
    }

    #[test]
    fn except_names_one_session_or_several() {
        for (payload, expected) in [
            (r#"{"data":1,"except":"a"}"#, &["a"][..]),
            (r#"{"except":["a","b\u0021"],"data":1}"#, &["a", "b!"]),
            (r#"{"\u0065xcept":"a"}"#, &["a"]),
            (r#"{"except":"a","except":["b"]}"#, &["b"]),
            (r#"{"except":"a","except":null}"#, &[]),
            (r#"{"except":["a",1,["b"],null,"c"]}"#, &["a", "c"]),
            (r#"{"except":[]}"#, &[]),
            (r#"{"except":{"a":1}}"#, &[]),
            (r#"{"data":{"except":"a"}}"#, &[]),
            (r#"[{"except":"a"}]"#, &[]),
            (r#""except""#, &[]),
        ] {
            assert_eq!(ids(payload), expected, "{payload}");
            // The same with a number that only the second opinion takes.
            if let Some(open) = payload.strip_suffix('}') {
                let payload = format!(r#"{open},"\ud800":1e999}}"#);
                assert_eq!(ids(&payload), expected, "{payload}");
            }
        }
    }

    #[test]
    fn nesting_without_end_costs_no_stack() {
        let depth = 1_000_000;
        let nested = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(ids(&nested), [""; 0]);
        let nested = format!(r#"{{"data":{nested},"except":"a"}}"#);
        assert_eq!(ids(&nested), ["a"]);
        let unfinished = check("{\"a\":".repeat(depth).as_bytes(), &mut Scratch::default());
        assert_eq!(unfinished, Err(EnvelopeError::NotJson));
    }

    #[test]
    fn one_message_leaves_nothing_behind_for_the_next() {
        let mut scratch = Scratch::default();
        let long = format!(
            r#"{{"data":"{}","except":"a"}}"#,
            "x".repeat(2 * MAX_KEPT_BYTES)
        );
        for _ in 0..2 {
            assert_eq!(
                check(long.as_bytes(), &mut scratch).map(|e| e.is_empty()),
                Ok(false)
            );
            assert_eq!(check(b"{\"data\":1}", &mut scratch), Ok(Except::default()));
            assert_eq!(
                check(b"{\"except\":\"a\"", &mut scratch),
                Err(EnvelopeError::NotJson)
            );
        }
        assert!(scratch.copy.capacity() < MAX_KEPT_BYTES);
    }
}
