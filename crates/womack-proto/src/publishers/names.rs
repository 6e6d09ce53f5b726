//! Names of rooms, channels or sessions in JSON: none, one or a list.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, Error, SeqAccess, Visitor},
};

/// Names: `null`, one, or a list of them. A number is its digits, as it would be as a key in
/// JavaScript.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Names(pub(super) Option<Vec<String>>);

impl Names {
    /// The names; none for `null`.
    pub(super) fn into_vec(self) -> Vec<String> {
        self.0.unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// A single name.
pub(super) struct Name(pub(super) String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a name or a list of names")
    }

    fn visit_unit<E: Error>(self) -> Result<Names, E> {
        Ok(Names(None))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Names, E> {
        Ok(Names(Some(vec![name.to_owned()])))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Names, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Names, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(Name(name)) = list.next_element()? {
            names.push(name);
        }
        Ok(Names(Some(names)))
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        Ok(Name(name.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Name, E> {
        Ok(Name(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Name, E> {
        Ok(Name(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_none_one_or_several() {
        for (json, expected) in [
            ("null", Some(None)),
            ("\"a\"", Some(Some(&["a"][..]))),
            ("7", Some(Some(&["7"]))),
            ("[]", Some(Some(&[]))),
            (r#"["a",-1,""]"#, Some(Some(&["a", "-1", ""]))),
            ("[null]", None),
            ("[[\"a\"]]", None),
            ("1.5", None),
            ("true", None),
            ("{}", None),
        ] {
            let names = serde_json::from_str(json).ok().map(|Names(names)| names);
            let expected = expected.map(|names| {
                names.map(|names| names.iter().map(|name| (*name).to_owned()).collect())
            });
            assert_eq!(names, expected, "{json}");
        }
    }
}
