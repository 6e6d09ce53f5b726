//! Inline commands: a line of words, some of them quoted, as a person types it into `nc`.

use bytes::Bytes;

/// Splits a line into its arguments; `None` if its quotes do not match.
///
/// `"…"` knows the escapes of C and `\x41`, `'…'` knows only `\'`. A closing quote ends its word.
/// As in Redis, the line ends at a NUL.
pub(crate) fn split(line: &[u8]) -> Option<Vec<Bytes>> {
    let end = line.iter().position(|byte| *byte == 0);
    let mut rest = &line[..end.unwrap_or(line.len())];
    let mut words = Vec::new();
    loop {
        while let [byte, tail @ ..] = rest
            && is_space(*byte)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(Bytes::from(word));
    }
}

/// Reads one word and returns what follows it.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [b' ' | b'\t' | b'\n' | b'\r', ..] => return Some(rest),
            [quote @ (b'"' | b'\''), tail @ ..] => {
                rest = take_quoted(*quote, tail, word)?;
                let word_ends = rest.first().is_none_or(|byte| is_space(*byte));
                return word_ends.then_some(rest);
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Reads up to the closing quote and returns what follows it.
fn take_quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [byte, tail @ ..] if *byte == quote => return Some(tail),
            [b'\\', b'\'', tail @ ..] if quote == b'\'' => (b'\'', tail),
            [b'\\', b'x', high, low, tail @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), tail)
            }
            [b'\\', escaped, tail @ ..] if quote == b'"' => (unescape(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return None,
        };
        word.push(byte);
        rest = tail;
    }
}

fn unescape(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// What C calls white space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_spaces_and_kept_together_by_quotes() {
        let words = split(br#"  a  "b c"	'd "e' f"g h" "" "#).unwrap();
        assert_eq!(words, ["a", "b c", "d \"e", "fg h", ""]);
    }

    #[test]
    fn escapes_work_in_their_own_kind_of_quotes() {
        let words = split(br#""\x41\n\r\t\a\b\q\"\xzz" '\'\n' \n"#).unwrap();
        assert_eq!(words, [&b"A\n\r\t\x07\x08q\"xzz"[..], b"'\\n", b"\\n"]);
    }

    #[test]
    fn a_quote_without_its_partner_is_refused() {
        for line in [r#"""#, "'", r#""a"#, r#""a"b"#, "'a''b'", r#""a\""#] {
            assert_eq!(split(line.as_bytes()), None, "{line}");
        }
    }
}
