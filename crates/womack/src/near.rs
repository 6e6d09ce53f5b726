//! Channel names that somebody may have meant.

/// How the name that was published on differs from one that clients want.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Difference {
    /// The key before it is missing, doubled or another one.
    Key,
    /// Capital letters.
    Case,
    /// Spaces, or a colon, before or after it.
    Edge,
    /// One character.
    Spelling,
}

/// Names of fewer characters differ from most others by one.
const SHORTEST_MISSPELLED: usize = 5;

impl Difference {
    pub(crate) const ALL: [Self; 4] = [Self::Key, Self::Case, Self::Edge, Self::Spelling];

    /// The difference as logs and metrics name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Case => "case",
            Self::Edge => "edge",
            Self::Spelling => "spelling",
        }
    }
}

/// Whether whoever published on the Redis channel `published` may have meant `wanted`, and what is
/// between the two. `keys` are those of the server's namespaces.
pub(crate) fn difference(published: &str, wanted: &str, keys: &[&str]) -> Option<Difference> {
    if published == wanted {
        return None;
    }
    let name = below_a_key(wanted, keys)?;
    let tried = below_a_key(published, keys);
    let has_key = tried.is_some();
    // A key may be there twice: a publisher that adds it was given a whole Redis channel.
    let mut tried = tried.unwrap_or(published);
    while let Some(rest) = below_a_key(tried, keys) {
        tried = rest;
    }
    let ends_with_name = || {
        let before = tried.strip_suffix(name);
        before.is_some_and(|before| before.ends_with(':'))
    };
    if tried == name || (!has_key && ends_with_name()) {
        return Some(Difference::Key);
    }
    if trim(tried) == trim(name) {
        return Some(Difference::Edge);
    }
    if tried.to_lowercase() == name.to_lowercase() {
        return Some(Difference::Case);
    }
    is_misspelled(tried, name).then_some(Difference::Spelling)
}

fn below_a_key<'a>(redis_channel: &'a str, keys: &[&str]) -> Option<&'a str> {
    let below = |key: &&str| redis_channel.strip_prefix(key)?.strip_prefix(':');
    keys.iter().find_map(below)
}

fn trim(name: &str) -> &str {
    name.trim_matches(|c: char| c.is_whitespace() || c == ':')
}

/// Whether one character too many, too few or another one is all that is between two names. Names
/// that end in numbers are rather different than misspelled.
fn is_misspelled(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    if short.len() < SHORTEST_MISSPELLED || long.len() - short.len() > 1 {
        return false;
    }
    let same = long.iter().zip(&short).take_while(|(a, b)| a == b).count();
    let (rest_long, rest_short) = (&long[same..], &short[same..]);
    let digit = |rest: &[char]| rest.first().is_some_and(char::is_ascii_digit);
    if digit(rest_long) || digit(rest_short) {
        return false;
    }
    match long.len() == short.len() {
        true => rest_long.get(1..) == rest_short.get(1..),
        false => rest_long.get(1..) == Some(rest_short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_told_apart_by_what_is_between_them() {
        let keys = ["womack:ns:default", "other"];
        let wanted = "womack:ns:default:hello";
        for (published, expected) in [
            ("womack:ns:default:hello", None),
            ("hello", Some(Difference::Key)),
            ("ns:default:hello", Some(Difference::Key)),
            ("other:hello", Some(Difference::Key)),
            (
                "womack:ns:default:womack:ns:default:hello",
                Some(Difference::Key),
            ),
            ("womack:ns:default:Hello", Some(Difference::Case)),
            ("HELLO", Some(Difference::Case)),
            ("womack:ns:default:hello ", Some(Difference::Edge)),
            ("womack:ns:default::hello", Some(Difference::Edge)),
            ("womack:ns:default:helo", None),
            ("womack:ns:default:helllo", Some(Difference::Spelling)),
            ("womack:ns:default:hallo", Some(Difference::Spelling)),
            ("womack:ns:default:news:hello", None),
            ("womack:ns:default:jelly", None),
            ("", None),
        ] {
            assert_eq!(
                difference(published, wanted, &keys),
                expected,
                "{published:?}"
            );
        }
    }

    #[test]
    fn numbered_channels_are_no_misspellings() {
        let keys = ["k"];
        assert_eq!(difference("k:room:18", "k:room:17", &keys), None);
        assert_eq!(difference("k:room:1", "k:room:17", &keys), None);
        assert_eq!(
            difference("k:roam:17", "k:room:17", &keys),
            Some(Difference::Spelling)
        );
        assert_eq!(difference("k:a", "k:b", &keys), None, "short names");
        assert_eq!(difference("x", "no key at all", &keys), None);
    }
}
