//! The patterns of `PSUBSCRIBE`.

/// Whether `text` matches `pattern`, as Redis reads patterns.
///
/// `*` is any run of bytes, `?` any byte, `[a-z]` one of a set, `[^a-z]` one outside it, and `\`
/// takes the meaning from the byte that follows. Only the latest `*` is ever tried again, so the
/// time is at most the product of the two lengths, whatever the pattern.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Redis lets not even `*` match the empty name.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut read) = (0, 0);
    // Where to go on after the latest `*`, in the pattern and in the text.
    let mut retry = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, read));
            continue;
        }
        let Some(byte) = text.get(read) else {
            if at == pattern.len() {
                return true;
            }
            // No later try could leave more of the text for what is left of the pattern.
            return false;
        };
        if let Some(next) = match_one(pattern, at, *byte) {
            at = next;
            read += 1;
        } else if let Some((star, tried)) = retry {
            at = star;
            read = tried + 1;
            retry = Some((star, read));
        } else {
            return false;
        }
    }
}

/// If the element of `pattern` at `at` accepts `byte`, where the next element begins.
fn match_one(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    let (accepted, next) = match pattern[at..] {
        [] => (false, at),
        [b'?', ..] => (true, at + 1),
        [b'[', ..] => match_set(pattern, at + 1, byte),
        [b'\\', literal, ..] => (literal == byte, at + 2),
        [literal, ..] => (literal == byte, at + 1),
    };
    accepted.then_some(next)
}

/// Matches a set whose first byte after the `[` is at `at`. A set that is never closed ends with
/// the pattern.
fn match_set(pattern: &[u8], mut at: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    loop {
        match pattern[at..] {
            [] => return (found != negated, at),
            [b'\\', literal, ..] => {
                found |= literal == byte;
                at += 2;
            }
            [b']', ..] => return (found != negated, at + 1),
            [from, b'-', to, ..] => {
                // Redis compares signed characters, and takes the ends in either order.
                let (from, to, byte) = (from as i8, to as i8, byte as i8);
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn patterns_match_what_the_documentation_says() {
        let table: [(&str, &[&str], &[&str]); 14] = [
            ("h?llo", &["hello", "hallo"], &["hllo", "heello"]),
            ("h*llo", &["hllo", "heeeello", "hello"], &["hell", "xhello"]),
            ("h[ae]llo", &["hello", "hallo"], &["hillo"]),
            ("h[^e]llo", &["hallo", "hbllo"], &["hello", "hllo"]),
            ("h[a-b]llo", &["hallo", "hbllo"], &["hcllo"]),
            ("h[b-a]llo", &["hallo", "hbllo"], &["hcllo"]),
            (r"h\*llo", &["h*llo"], &["hello"]),
            (r"[\]\-]", &["]", "-"], &["\\"]),
            ("*", &["a", "aa", "*"], &[""]),
            ("a*", &["a", "ab"], &["ba"]),
            ("a*b*c", &["abc", "aXbYc", "abcbc"], &["ab", "abcd"]),
            ("[abc", &["a", "c"], &["d", "["]),
            (r"a\", &[r"a\"], &["a"]),
            ("", &[""], &["a"]),
        ];
        for (pattern, good, bad) in table {
            for text in good {
                assert!(
                    matches(pattern.as_bytes(), text.as_bytes()),
                    "{pattern} {text}"
                );
            }
            for text in bad {
                assert!(
                    !matches(pattern.as_bytes(), text.as_bytes()),
                    "{pattern} {text}"
                );
            }
        }
    }

    /// With a matcher that tries every combination, this test would not end.
    #[test]
    fn many_stars_do_not_explode() {
        let pattern: Vec<u8> = iter::repeat_n(*b"a*", 5_000)
            .flatten()
            .chain([b'b'])
            .collect();
        assert!(!matches(&pattern, &[b'a'; 10_000]));
    }
}
