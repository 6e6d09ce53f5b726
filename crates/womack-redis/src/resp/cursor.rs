//! Finds the parts of one reply in the bytes that came, without a copy of any.

use std::ops::Range;

use super::verb::Verb;

/// Longest string of a message, in bytes: the longest that Redis itself takes by default.
const MAX_STRING: usize = 512 << 20;
/// Longest text that answers a command, in bytes. `INFO` has some 8 kB with all its sections.
const MAX_TEXT: usize = 1 << 20;
/// Longest line, in bytes: a status, a number or an error. Strings that are skipped are no longer.
pub(super) const MAX_LINE: usize = 64 << 10;
/// Most values in one answer that is skipped. The answer to `HELLO` has 14, and some for each
/// module.
const MAX_VALUES: i64 = 4096;
/// Deepest nesting of an answer that is skipped. The answer to `HELLO` with modules has 4 levels.
const MAX_DEPTH: usize = 16;

/// The kind of a reply, and its parts' places.
pub(super) enum Found {
    Message {
        channel: Range<usize>,
        payload: Range<usize>,
        by_pattern: bool,
    },
    /// A message whose payload has so many bytes, which is too many. They need not have come.
    TooLong {
        channel: Range<usize>,
        bytes: usize,
    },
    Confirmed {
        verb: Verb,
        name: Range<usize>,
    },
    Pong,
    Text(Range<usize>),
    Done,
    Refused(Range<usize>),
    /// Answers no command, and is nothing that a subscriber has to know.
    Skipped,
}

/// The reason why there is no reply.
pub(super) enum Stop {
    /// Its end has not come.
    Incomplete,
    /// It is none.
    Wrong,
}

/// A place in the bytes that came.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many more values may be skipped.
    values: i64,
    /// The most that the payload of a message may have.
    max_message_bytes: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8], max_message_bytes: usize) -> Self {
        Self {
            max_message_bytes,
            bytes,
            at: 0,
            values: MAX_VALUES,
        }
    }

    /// The end of the reply that was found, whether all of it has come or not.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Finds the first reply.
    pub(super) fn reply(&mut self) -> Result<Found, Stop> {
        match self.mark()? {
            mark @ (b'>' | b'*') => self.list(mark),
            b'+' => {
                let status = self.line()?;
                let is_pong = &self.bytes[status] == b"PONG";
                Ok(if is_pong { Found::Pong } else { Found::Done })
            }
            b'-' => Ok(Found::Refused(self.line()?)),
            b'!' => {
                let reason = self.string(b'!', MAX_LINE)?;
                Ok(Found::Refused(reason.ok_or(Stop::Wrong)?))
            }
            b'$' => Ok(self
                .string(b'$', MAX_TEXT)?
                .map_or(Found::Done, Found::Text)),
            b'=' => self.verbatim(MAX_TEXT).map(Found::Text),
            // It belongs to the reply that follows.
            b'|' => self.values(b'|', 2, 0).map(|()| Found::Skipped),
            _ => self.value(0).map(|()| Found::Done),
        }
    }

    /// A push or an array. Version 2 has messages and confirmations in arrays.
    fn list(&mut self, mark: u8) -> Result<Found, Stop> {
        let length = self.number(mark)?;
        if length > MAX_VALUES {
            return Err(Stop::Wrong);
        }
        if length > 0 && self.mark()? == b'$' {
            let start = self.at;
            let kind = self.string(b'$', MAX_LINE)?.unwrap_or_default();
            match (&self.bytes[kind], length) {
                (b"message" | b"smessage", 3) => return self.message(false),
                (b"pmessage", 4) => {
                    self.name()?;
                    return self.message(true);
                }
                (b"subscribe", 3) => return self.confirmed(Verb::Subscribe),
                (b"unsubscribe", 3) => return self.confirmed(Verb::Unsubscribe),
                (b"psubscribe", 3) => return self.confirmed(Verb::SubscribePattern),
                (b"ssubscribe", 3) => return self.confirmed(Verb::SubscribeShard),
                (b"sunsubscribe", 3) => return self.confirmed(Verb::UnsubscribeShard),
                (b"pong", 2) => return self.name().map(|_| Found::Pong),
                (b"message" | b"smessage" | b"pmessage", _) => return Err(Stop::Wrong),
                _ => self.at = start,
            }
        }
        let is_push = mark == b'>';
        if is_push && length < 1 {
            return Err(Stop::Wrong);
        }
        self.elements(length, 1, 0)?;
        Ok(if is_push { Found::Skipped } else { Found::Done })
    }

    fn message(&mut self, by_pattern: bool) -> Result<Found, Stop> {
        let channel = self.name()?;
        let start = self.at;
        if let Some(bytes) = self.length(b'$', MAX_STRING)?
            && bytes > self.max_message_bytes
        {
            self.at += bytes + b"\r\n".len();
            return Ok(Found::TooLong { channel, bytes });
        }
        self.at = start;
        let payload = self.name()?;
        Ok(Found::Message {
            channel,
            payload,
            by_pattern,
        })
    }

    fn confirmed(&mut self, verb: Verb) -> Result<Found, Stop> {
        let name = if self.mark()? == b'_' {
            self.value(0)?;
            self.at..self.at
        } else {
            self.name()?
        };
        self.number(b':')?;
        Ok(Found::Confirmed { verb, name })
    }

    /// A string of a message or a confirmation. The name is empty if there is none.
    fn name(&mut self) -> Result<Range<usize>, Stop> {
        let name = self.string(b'$', MAX_STRING)?;
        Ok(name.unwrap_or(self.at..self.at))
    }

    /// A text that says its format in its first four bytes, `txt:` for one.
    fn verbatim(&mut self, most: usize) -> Result<Range<usize>, Stop> {
        let text = self.string(b'=', most)?.ok_or(Stop::Wrong)?;
        match self.bytes[text.clone()] {
            [_, _, _, b':', ..] => Ok(text.start + 4..text.end),
            _ => Err(Stop::Wrong),
        }
    }

    /// Passes over one value, whatever it is, with what is nested in it.
    fn value(&mut self, depth: usize) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::Wrong);
        }
        match self.mark()? {
            mark @ (b'*' | b'~') => self.values(mark, 1, depth),
            b'%' => self.values(b'%', 2, depth),
            b'|' => {
                self.values(b'|', 2, depth)?;
                self.value(depth + 1)
            }
            mark @ (b'$' | b'!') => self.string(mark, MAX_LINE).map(drop),
            b'=' => self.verbatim(MAX_LINE).map(drop),
            b':' => self.number(b':').map(drop),
            b'+' | b'-' => self.line().map(drop),
            b'_' => self.line_of(<[u8]>::is_empty),
            b'#' => self.line_of(|line| matches!(line, b"t" | b"f")),
            b'(' => self.line_of(is_whole_number),
            b',' => self.line_of(is_number),
            _ => Err(Stop::Wrong),
        }
    }

    /// Passes over a head and as many values as it says, each of which takes `width` places.
    fn values(&mut self, mark: u8, width: i64, depth: usize) -> Result<(), Stop> {
        let length = self.number(mark)?;
        self.elements(length, width, depth)
    }

    fn elements(&mut self, length: i64, width: i64, depth: usize) -> Result<(), Stop> {
        if length == -1 {
            return Ok(());
        }
        let count = length.saturating_mul(width);
        self.values = self.values.saturating_sub(count);
        if length < 0 || self.values < 0 {
            return Err(Stop::Wrong);
        }
        for _ in 0..count {
            self.value(depth + 1)?;
        }
        Ok(())
    }

    /// The first byte of what comes next.
    fn mark(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::Incomplete)
    }

    /// A string of at most `most` bytes, which may be none.
    fn string(&mut self, mark: u8, most: usize) -> Result<Option<Range<usize>>, Stop> {
        let Some(length) = self.length(mark, most)? else {
            return Ok(None);
        };
        let (start, end) = (self.at, self.at + length);
        match self.bytes.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Stop::Wrong),
            None => return Err(Stop::Incomplete),
        }
        self.at = end + 2;
        Ok(Some(start..end))
    }

    /// The length of a string of at most `most` bytes, which may be none.
    fn length(&mut self, mark: u8, most: usize) -> Result<Option<usize>, Stop> {
        let length = self.number(mark)?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Stop::Wrong)?;
        match length <= most {
            true => Ok(Some(length)),
            false => Err(Stop::Wrong),
        }
    }

    fn number(&mut self, mark: u8) -> Result<i64, Stop> {
        if self.mark()? != mark {
            return Err(Stop::Wrong);
        }
        let line = self.line()?;
        let (negative, digits) = match &self.bytes[line] {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        if !(1..=18).contains(&digits.len()) {
            return Err(Stop::Wrong);
        }
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(Stop::Wrong);
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        Ok(if negative { -number } else { number })
    }

    /// Passes over a line, which has to be `right`.
    fn line_of(&mut self, right: fn(&[u8]) -> bool) -> Result<(), Stop> {
        let line = self.line()?;
        match right(&self.bytes[line]) {
            true => Ok(()),
            false => Err(Stop::Wrong),
        }
    }

    /// The line after its mark, without its end.
    fn line(&mut self) -> Result<Range<usize>, Stop> {
        let start = self.at + 1;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Some(length) = rest.iter().take(MAX_LINE).position(|byte| *byte == b'\r') else {
            let is_too_long = rest.len() >= MAX_LINE;
            return Err(if is_too_long {
                Stop::Wrong
            } else {
                Stop::Incomplete
            });
        };
        match rest.get(length + 1) {
            Some(b'\n') => {}
            Some(_) => return Err(Stop::Wrong),
            None => return Err(Stop::Incomplete),
        }
        self.at = start + length + 2;
        Ok(start..start + length)
    }
}

fn is_whole_number(line: &[u8]) -> bool {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Whether the line is a number of any form, or one of `inf`, `-inf` and `nan`.
fn is_number(line: &[u8]) -> bool {
    str::from_utf8(line).is_ok_and(|line| line.parse::<f64>().is_ok())
}
