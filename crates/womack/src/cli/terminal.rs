//! Text for a terminal, in which nothing that comes from outside is obeyed.
//!
//! Names of channels, addresses, origins and messages of a Redis are what somebody else wrote. A
//! terminal takes escape sequences in them for commands, and a line feed for the end of a line of
//! the log.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// Passes on what is written to it, with the characters escaped that a terminal would obey.
pub(super) struct Escaping<W>(pub(super) W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_obeyed) {
            let (shown, from) = rest.split_at(at);
            self.0.write_str(shown)?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// `text` with the characters escaped that a terminal would obey.
pub(super) fn escaped(text: &str) -> String {
    let mut out = Escaping(String::with_capacity(text.len()));
    // Writing to a string does not fail.
    out.write_str(text).ok();
    out.0
}

/// Whether a terminal does something else with a character than to show it: control characters, and
/// those that turn the direction of a text or begin a line.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Writes the fields of a line of the log as `tracing_subscriber` does, each value escaped: that
/// package escapes the message and errors, and nothing else.
pub(super) struct EscapedFields;

impl<'writer> FormatFields<'writer> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor {
            writer,
            is_first: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn write(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        if name != "message" {
            match self.writer.has_ansi_escapes() {
                true => write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
                false => write!(self.writer, "{name}=")?,
            }
        }
        write!(Escaping(&mut self.writer), "{value:?}")
    }
}

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.write(field.name(), value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The line of the log that `event` writes.
    fn logged(ansi: bool, event: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer()
            .fmt_fields(EscapedFields)
            .with_writer(move || writer.clone())
            .with_ansi(ansi)
            .with_target(false)
            .without_time();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, event);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn values_of_fields_cannot_speak_to_a_terminal() {
        let channel = "a\x1b]0;title\x07\r\nWARN forged\u{9b}2J\u{202e}b";
        let escaped = r"a\u{1b}]0;title\u{7}\r\nWARN forged\u{9b}2J\u{202e}b";
        let line = logged(false, || {
            tracing::warn!(%channel, count = 3, known = true, "it says {channel}");
        });
        assert_eq!(
            line,
            format!(" WARN it says {escaped} channel={escaped} count=3 known=true\n")
        );
        let error = io::Error::other(channel);
        let line = logged(false, || {
            tracing::warn!(error = &error as &dyn std::error::Error, "no");
        });
        assert_eq!(line, format!(" WARN no error={escaped}\n"));
        let line = logged(
            false,
            || tracing::warn!(text = channel, debug = ?channel, "no"),
        );
        assert!(!line.trim_end().contains(is_obeyed), "{line:?}");
    }

    #[test]
    fn names_of_fields_have_their_colours() {
        let line = logged(true, || tracing::warn!(channel = %"\x1b[2J", "no"));
        assert!(
            line.ends_with("no \x1b[3mchannel\x1b[0m\x1b[2m=\x1b[0m\\u{1b}[2J\n"),
            "{line:?}"
        );
    }

    #[test]
    fn text_of_people_stays_as_it_is() {
        for text in ["", "hello", "Grüße, мир 你好 👋🏽", r"a\b 'c' "] {
            assert_eq!(escaped(text), text);
        }
    }
}
