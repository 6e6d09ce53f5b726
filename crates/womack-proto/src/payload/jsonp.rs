//! What carries the bodies of Engine.IO 3 where a page can only load scripts and submit forms.
//!
//! An answer is a script, `___eio[0]("...");`; a POST is a form with the body in its field `d`.

use super::Content;

/// The body in a submitted form, empty if there is none.
///
/// Clients protect the backslash of `\n` with a second one and send a newline as `\n`, since
/// browsers change the newlines of forms.
pub(super) fn decode(form: &[u8]) -> String {
    let field = form_urlencoded::parse(form).find(|(name, _)| name == "d");
    let Some((_, escaped)) = field else {
        return String::new();
    };
    let mut body = String::with_capacity(escaped.len());
    let mut rest = &*escaped;
    while let Some(at) = rest.find("\\n") {
        let before = &rest[..at];
        body.push_str(before);
        body.push(if before.ends_with('\\') { 'n' } else { '\n' });
        rest = &rest[at + 2..];
    }
    body.push_str(rest);
    body
}

/// Writes the script that hands `body` to the callback with that number.
pub(super) fn encode(callback: u32, body: &[u8], out: &mut Vec<u8>) -> Content {
    let literal = literal(&String::from_utf8_lossy(body));
    out.extend_from_slice(format!("___eio[{callback}]({literal});").as_bytes());
    Content::Script
}

/// A JavaScript string that holds `text`.
pub(crate) fn literal(text: &str) -> String {
    let mut literal = serde_json::to_string(text).expect("every string is JSON");
    // JSON, but no JavaScript before 2019; and what would end a script inside a page.
    for (unsafe_text, escaped) in [
        ("\u{2028}", "\\u2028"),
        ("\u{2029}", "\\u2029"),
        ("</", "<\\/"),
    ] {
        if literal.contains(unsafe_text) {
            literal = literal.replace(unsafe_text, escaped);
        }
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(body: &str) -> String {
        let mut out = Vec::new();
        encode(7, body.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn answers_are_scripts_that_nothing_breaks_out_of() {
        assert_eq!(script("1:6"), r#"___eio[7]("1:6");"#);
        assert_eq!(
            script("10:0{\"sid\":\"a\"}"),
            r#"___eio[7]("10:0{\"sid\":\"a\"}");"#
        );
        assert_eq!(
            script("\\\n\u{2028}\u{2029}</script>"),
            r#"___eio[7]("\\\n\u2028\u2029<\/script>");"#
        );
    }

    #[test]
    fn forms_hold_the_body_in_one_field() {
        for (form, expected) in [
            ("d=1%3A2", "1:2"),
            ("x=1&d=7%3A42%5B%22m%22%5D", "7:42[\"m\"]"),
            ("d=%C5%BE+%2B", "ž +"),
            ("d=", ""),
            ("", ""),
            ("e=1", ""),
        ] {
            assert_eq!(decode(form.as_bytes()), expected, "{form}");
        }
    }

    #[test]
    fn newlines_and_what_looks_like_them_are_told_apart() {
        for (sent, expected) in [
            (r"a\nb", "a\nb"),
            (r"a\\nb", r"a\nb"),
            (r"a\\\nb", r"a\\nb"),
            (r"\n\\n\t\\", "\n\\n\\t\\\\"),
        ] {
            let form = format!("d={}", sent.replace('\\', "%5C"));
            assert_eq!(decode(form.as_bytes()), expected, "{sent}");
        }
    }
}
