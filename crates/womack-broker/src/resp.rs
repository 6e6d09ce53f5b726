//! RESP requests without I/O: bytes go in, commands come out.
//!
//! A request is an array of bulk strings, `*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n`, or a line that a
//! person typed, `ECHO hi\r\n`. Both, and every complaint about them, follow Redis 7
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
//!
//! Why not a library: `redis-protocol` 6, the maintained one, reads the *replies* that clients
//! get. It starts again at the first byte of a command whenever more bytes arrive, knows no limit
//! on lengths or on nesting (a megabyte of `*1\r\n` overflows its stack), knows no inline commands,
//! and does not say which protocol error it met. All four matter on the server's side, and what is
//! left of RESP there is one array of strings.

use std::mem;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::{inline, limits::Limits};

/// What a line may have at most: an inline command, or the header of an array or a string.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Room for arguments that is set aside on a client's word alone.
const TRUSTED_ARGUMENTS: usize = 16;

/// Decodes the requests of one client, however they are cut into packets.
///
/// Nothing is allocated for a length that a client merely announced.
#[derive(Debug)]
pub struct Decoder {
    max_bytes: usize,
    max_arguments: usize,
    /// Arguments of the current command that have arrived, and their bytes together.
    arguments: Vec<Bytes>,
    bytes: usize,
    /// Arguments of the current command still to come; 0 between commands.
    missing: usize,
    /// Length of the argument whose header has been read.
    length: Option<usize>,
    /// How far the line at the start of the input was searched for its end.
    searched: usize,
}

impl Decoder {
    /// A decoder that accepts commands within `limits`.
    pub fn new(limits: &Limits) -> Self {
        Self {
            max_bytes: limits.max_command_bytes,
            max_arguments: limits.max_command_arguments,
            arguments: Vec::new(),
            bytes: 0,
            missing: 0,
            length: None,
            searched: 0,
        }
    }

    /// Takes the next command from the front of `input`; `None` if it is not all there yet.
    ///
    /// A command has at least one argument, its name. The arguments share memory with `input`.
    /// After an error nothing in `input` can be trusted, and the decoder is of no more use.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        loop {
            if self.missing == 0 {
                match input.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        if !self.decode_count(input)? {
                            return Ok(None);
                        }
                    }
                    Some(_) => match self.decode_inline(input)? {
                        None => return Ok(None),
                        Some(arguments) if arguments.is_empty() => {}
                        Some(arguments) => return Ok(Some(arguments)),
                    },
                }
            } else if let Some(length) = self.length {
                // Redis, too, skips the two bytes after a string without a look at them.
                if input.len() < length + 2 {
                    return Ok(None);
                }
                self.arguments.push(input.split_to(length).freeze());
                input.advance(2);
                self.length = None;
                self.missing -= 1;
                if self.missing == 0 {
                    self.bytes = 0;
                    return Ok(Some(mem::take(&mut self.arguments)));
                }
            } else if !self.decode_length(input)? {
                return Ok(None);
            }
        }
    }

    /// Reads `*<count>\r\n`; false if it is not all there yet.
    fn decode_count(&mut self, input: &mut BytesMut) -> Result<bool, ProtocolError> {
        let Some(header) = self.take_header(input, ProtocolError::CountTooLong)? else {
            return Ok(false);
        };
        let count = parse_integer(&header[1..]).ok_or(ProtocolError::InvalidCount)?;
        // An empty or a null array is no command, and no error either.
        let count = usize::try_from(count).unwrap_or(0);
        if count > self.max_arguments {
            return Err(ProtocolError::InvalidCount);
        }
        self.missing = count;
        self.arguments.reserve(count.min(TRUSTED_ARGUMENTS));
        Ok(true)
    }

    /// Reads `$<length>\r\n`; false if it is not all there yet.
    fn decode_length(&mut self, input: &mut BytesMut) -> Result<bool, ProtocolError> {
        let Some(header) = self.take_header(input, ProtocolError::LengthTooLong)? else {
            return Ok(false);
        };
        if header[0] != b'$' {
            return Err(ProtocolError::ExpectedBulk(header[0]));
        }
        let length = parse_integer(&header[1..])
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= self.max_bytes - self.bytes)
            .ok_or(ProtocolError::InvalidLength)?;
        self.bytes += length;
        self.length = Some(length);
        Ok(true)
    }

    /// Reads a line and splits it into arguments; there may be none.
    fn decode_inline(&mut self, input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        let Some(end) = self.find(b'\n', input, ProtocolError::InlineTooLong)? else {
            return Ok(None);
        };
        self.searched = 0;
        let line = input.split_to(end + 1);
        let line = &line[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        inline::split(line)
            .map(Some)
            .ok_or(ProtocolError::UnbalancedQuotes)
    }

    /// Takes a header's line without its end. It has at least one byte, if only the end's first.
    fn take_header(
        &mut self,
        input: &mut BytesMut,
        too_long: ProtocolError,
    ) -> Result<Option<Bytes>, ProtocolError> {
        let Some(end) = self.find(b'\r', input, too_long)? else {
            return Ok(None);
        };
        if input.len() < end + 2 {
            return Ok(None);
        }
        self.searched = 0;
        let mut header = input.split_to(end + 2).freeze();
        header.truncate(end.max(1));
        Ok(Some(header))
    }

    /// Finds the first `byte`. Where it stands decides about `too_long`, not what else arrived.
    fn find(
        &mut self,
        byte: u8,
        input: &[u8],
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let found = input[self.searched..].iter().position(|b| *b == byte);
        let end = self.searched + found.unwrap_or(input.len() - self.searched);
        self.searched = end;
        if end > MAX_LINE_BYTES {
            return Err(too_long);
        }
        Ok(found.map(|_| end))
    }
}

/// What a client sent that is not RESP, in Redis's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An inline command has no end within 64 KiB.
    #[error("too big inline request")]
    InlineTooLong,
    /// An inline command has a quote without its partner, or text right behind a closing one.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An array's header has no end within 64 KiB.
    #[error("too big mbulk count string")]
    CountTooLong,
    /// An array's count is not a number, or over the limit.
    #[error("invalid multibulk length")]
    InvalidCount,
    /// A string's header has no end within 64 KiB.
    #[error("too big bulk count string")]
    LengthTooLong,
    /// Something else than a string in an array.
    #[error("expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    /// A string's length is not a number, or takes the command over its limit.
    #[error("invalid bulk length")]
    InvalidLength,
}

/// Reads a number as strictly as Redis does: no plus sign, no leading zeros, no `-0`.
pub(crate) fn parse_integer(digits: &[u8]) -> Option<i64> {
    let magnitude = digits.strip_prefix(b"-").unwrap_or(digits);
    let canonical = match magnitude {
        [b'0'] => digits.len() == 1,
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if !canonical {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

fn printable(byte: u8) -> char {
    match byte {
        b' '..=b'~' => char::from(byte),
        _ => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(input: &[u8], limits: &Limits) -> Result<Vec<Vec<Bytes>>, ProtocolError> {
        let mut decoder = Decoder::new(limits);
        let mut input = BytesMut::from(input);
        let mut commands = Vec::new();
        while let Some(command) = decoder.decode(&mut input)? {
            commands.push(command);
        }
        Ok(commands)
    }

    #[test]
    fn a_pipeline_yields_its_commands_in_order() {
        let input =
            b"*1\r\n$4\r\nPING\r\n*0\r\n\r\n*-1\r\nECHO 'a b'\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n";
        let commands = decode_all(input, &Limits::default()).unwrap();
        assert_eq!(
            commands,
            [vec!["PING"], vec!["ECHO", "a b"], vec!["ECHO", ""]]
        );
    }

    #[test]
    fn strings_hold_any_bytes() {
        let input = b"*2\r\n$4\r\nECHO\r\n$5\r\n\r\n\0\xff$\r\n";
        let commands = decode_all(input, &Limits::default()).unwrap();
        assert_eq!(commands[0][1], b"\r\n\0\xff$"[..]);
    }

    #[test]
    fn the_limit_counts_all_arguments_of_one_command() {
        let limits = Limits {
            max_command_bytes: 8,
            ..Limits::default()
        };
        let fits = b"*2\r\n$4\r\nECHO\r\n$4\r\naaaa\r\n";
        assert_eq!(decode_all(&fits.repeat(2), &limits).unwrap().len(), 2);
        let over = b"*2\r\n$4\r\nECHO\r\n$5\r\n";
        assert_eq!(decode_all(over, &limits), Err(ProtocolError::InvalidLength));
    }

    #[test]
    fn too_many_arguments_are_refused_by_their_count() {
        let limits = Limits {
            max_command_arguments: 3,
            ..Limits::default()
        };
        assert_eq!(decode_all(b"*3\r\n", &limits), Ok(vec![]));
        assert_eq!(
            decode_all(b"*4\r\n", &limits),
            Err(ProtocolError::InvalidCount)
        );
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut decoder = Decoder::new(&Limits::default());
        let mut input = BytesMut::from(&b"*1000000\r\n$60000000\r\n"[..]);
        assert_eq!(decoder.decode(&mut input), Ok(None));
        assert!(decoder.arguments.capacity() <= 2 * TRUSTED_ARGUMENTS);
        assert!(input.capacity() < 1024);
    }

    #[test]
    fn a_line_is_too_long_wherever_it_was_cut() {
        let line = [vec![b'x'; MAX_LINE_BYTES], b"\r\n".to_vec()].concat();
        let limits = Limits::default();
        let too_long = Err(ProtocolError::InlineTooLong);
        assert_eq!(decode_all(&line, &limits), too_long);
        assert_eq!(decode_all(&line[..=MAX_LINE_BYTES], &limits), too_long);
        assert_eq!(decode_all(&line[2..], &limits).unwrap().len(), 1);
    }

    #[test]
    fn numbers_are_written_in_one_way_only() {
        for good in [
            "0",
            "7",
            "-7",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert_eq!(parse_integer(good.as_bytes()), good.parse().ok());
        }
        for bad in [
            "",
            "-",
            "+7",
            "07",
            "-0",
            " 7",
            "7 ",
            "0x7",
            "9223372036854775808",
        ] {
            assert_eq!(parse_integer(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
