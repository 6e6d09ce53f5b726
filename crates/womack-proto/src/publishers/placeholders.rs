//! Placeholders for attachments: `{"_placeholder":true,"num":0}`.
//!
//! A client that gets one for an attachment which is not there disconnects. An application's own
//! data can look like one, so what comes with attachments is searched for them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::PublicationError;

/// Checks that every placeholder in `args`, JSON texts separated by commas, refers to one of
/// `count` attachments. JSON that is nested too deeply to look into, or has halves of surrogate
/// pairs, counts as another form.
pub(super) fn check(args: &str, count: usize) -> Result<(), PublicationError> {
    let array = format!("[{args}]");
    let mut json = serde_json::Deserializer::from_str(&array);
    let within = Within { count }.deserialize(&mut json);
    within.map(drop).map_err(|error| match error.is_data() {
        true => PublicationError::Placeholder,
        false => PublicationError::Form,
    })
}

/// Any value with no placeholder beyond `count`. What comes of it is what a placeholder consists
/// of: whether it is `true`, and which number.
#[derive(Clone, Copy)]
struct Within {
    count: usize,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    is_true: bool,
    number: Option<u64>,
}

impl<'de> DeserializeSeed<'de> for Within {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose placeholders have attachments")
    }

    fn visit_bool<E: Error>(self, is_true: bool) -> Result<Seen, E> {
        Ok(Seen {
            is_true,
            number: None,
        })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Seen, E> {
        Ok(Seen {
            is_true: false,
            number: Some(number),
        })
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Seen, E> {
        Ok(Seen::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Seen, A::Error> {
        while array.next_element_seed(self)?.is_some() {}
        Ok(Seen::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen, A::Error> {
        let (mut is_placeholder, mut number) = (false, None);
        while let Some(key) = object.next_key::<String>()? {
            let seen = object.next_value_seed(self)?;
            match key.as_str() {
                "_placeholder" => is_placeholder = seen.is_true,
                "num" => number = seen.number,
                _ => {}
            }
        }
        let is_there = || number.is_some_and(|number| number < self.count as u64);
        if is_placeholder && !is_there() {
            return Err(Error::custom("a placeholder without an attachment"));
        }
        Ok(Seen::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_have_attachments() {
        for (args, expected) in [
            ("", Ok(())),
            (r#"{"_placeholder":true,"num":1},[1.5,"a",-1,null]"#, Ok(())),
            (r#"{"num":9},{"_placeholder":false,"num":9}"#, Ok(())),
            (r#"{"_placeholder":1,"num":9}"#, Ok(())),
            (r#"{"_placeholder":true,"num":9,"num":0}"#, Ok(())),
            (
                r#"{"_placeholder":true,"num":2}"#,
                Err(PublicationError::Placeholder),
            ),
            (
                r#"[{"a":{"num":-1,"_placeholder":true}}]"#,
                Err(PublicationError::Placeholder),
            ),
            (
                r#"{"_placeholder":true}"#,
                Err(PublicationError::Placeholder),
            ),
            (
                r#"{"\u005fplaceholder":true,"num":"0"}"#,
                Err(PublicationError::Placeholder),
            ),
        ] {
            assert_eq!(check(args, 2), expected, "{args}");
        }
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        assert_eq!(check(&deep, 2), Err(PublicationError::Form));
    }
}
