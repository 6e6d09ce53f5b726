//! MessagePack, and the JSON text that JavaScript would make of it.
//!
//! Publishers in JavaScript encode with notepack.io, so its extensions are known: type 0 is an
//! `ArrayBuffer`, `undefined` or a date, by its length; type -1 is MessagePack's own timestamp.

use std::io::Write;

use bytes::Bytes;
use rmp::Marker;

use super::{MAX_ATTACHMENTS, PublicationError};

/// Levels of arrays and maps in one value; the reader needs some stack for each.
const MAX_DEPTH: usize = 128;
/// The last millisecond, before and after 1970, that a date can name in JavaScript.
const MAX_DATE: i128 = 8_640_000_000_000_000;
/// The integers up to here are all doubles.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

/// The head of a value: all of it, but for the elements of arrays and maps, which follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'a> {
    Nil,
    Undefined,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a [u8]),
    Binary(&'a [u8]),
    /// Milliseconds since 1970.
    Date(i128),
    Extension(i8, &'a [u8]),
    Array(u32),
    /// This many keys with their values.
    Map(u32),
}

/// Reads MessagePack from beginning to end.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next head of a value.
    pub(super) fn next(&mut self) -> Result<Item<'a>, PublicationError> {
        let [marker] = self.array()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Item::Nil,
            Marker::False => Item::Bool(false),
            Marker::True => Item::Bool(true),
            Marker::FixPos(number) => Item::Unsigned(number.into()),
            Marker::U8 => Item::Unsigned(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Item::Unsigned(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Item::Unsigned(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Item::Unsigned(u64::from_be_bytes(self.array()?)),
            Marker::FixNeg(number) => Item::Signed(number.into()),
            Marker::I8 => Item::Signed(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Item::Signed(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Item::Signed(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Item::Signed(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Item::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Item::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => Item::Text(self.bytes(length.into())?),
            Marker::Str8 => Item::Text(self.sized::<1>()?),
            Marker::Str16 => Item::Text(self.sized::<2>()?),
            Marker::Str32 => Item::Text(self.sized::<4>()?),
            Marker::Bin8 => Item::Binary(self.sized::<1>()?),
            Marker::Bin16 => Item::Binary(self.sized::<2>()?),
            Marker::Bin32 => Item::Binary(self.sized::<4>()?),
            Marker::FixArray(length) => Item::Array(length.into()),
            Marker::Array16 => Item::Array(self.length::<2>()?),
            Marker::Array32 => Item::Array(self.length::<4>()?),
            Marker::FixMap(length) => Item::Map(length.into()),
            Marker::Map16 => Item::Map(self.length::<2>()?),
            Marker::Map32 => Item::Map(self.length::<4>()?),
            Marker::FixExt1 => self.fixed_extension::<1>()?,
            Marker::FixExt2 => self.fixed_extension::<2>()?,
            Marker::FixExt4 => self.fixed_extension::<4>()?,
            Marker::FixExt8 => self.fixed_extension::<8>()?,
            Marker::FixExt16 => self.fixed_extension::<16>()?,
            Marker::Ext8 => self.extension::<1>()?,
            Marker::Ext16 => self.extension::<2>()?,
            Marker::Ext32 => self.extension::<4>()?,
            Marker::Reserved => return Err(PublicationError::NotMessagePack),
        })
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self) -> Result<(), PublicationError> {
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            left += match self.next()? {
                Item::Array(length) => length.into(),
                Item::Map(length) => 2 * u64::from(length),
                _ => 0,
            };
        }
        Ok(())
    }

    /// Checks that nothing follows.
    pub(super) const fn end(&self) -> Result<(), PublicationError> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(PublicationError::NotMessagePack),
        }
    }

    fn extension<const LENGTH: usize>(&mut self) -> Result<Item<'a>, PublicationError> {
        let length = self.length::<LENGTH>()?;
        let kind = i8::from_be_bytes(self.array()?);
        let data = self.bytes(length)?;
        Ok(match (kind, data.first_chunk(), data.len()) {
            (0, ..) => Item::Binary(data),
            (-1, Some(nanos), 12) => {
                let seconds = data.last_chunk().copied().map_or(0, i64::from_be_bytes);
                date(seconds, u32::from_be_bytes(*nanos))
            }
            _ => Item::Extension(kind, data),
        })
    }

    fn fixed_extension<const LENGTH: usize>(&mut self) -> Result<Item<'a>, PublicationError> {
        let kind = i8::from_be_bytes(self.array()?);
        let data: &[u8] = self.slice::<LENGTH>()?;
        Ok(
            match (kind, LENGTH, data.first_chunk(), data.first_chunk()) {
                (0, 1, ..) => Item::Undefined,
                (0, 8, _, Some(millis)) => Item::Date(i64::from_be_bytes(*millis).into()),
                (-1, 4, Some(seconds), _) => date(u32::from_be_bytes(*seconds).into(), 0),
                (-1, 8, _, Some(both)) => {
                    // 30 bits of nanoseconds, then 34 of seconds.
                    let both = u64::from_be_bytes(*both);
                    let seconds = i64::try_from(both & 0x3_ffff_ffff).unwrap_or(0);
                    date(seconds, u32::try_from(both >> 34).unwrap_or(0))
                }
                _ => Item::Extension(kind, data),
            },
        )
    }

    fn length<const LENGTH: usize>(&mut self) -> Result<u32, PublicationError> {
        let digits: [u8; LENGTH] = self.array()?;
        Ok(digits
            .iter()
            .fold(0, |length, digit| length << 8 | u32::from(*digit)))
    }

    fn sized<const LENGTH: usize>(&mut self) -> Result<&'a [u8], PublicationError> {
        let length = self.length::<LENGTH>()?;
        self.bytes(length)
    }

    fn bytes(&mut self, length: u32) -> Result<&'a [u8], PublicationError> {
        let split = self.rest.split_at_checked(length as usize);
        let (bytes, rest) = split.ok_or(PublicationError::NotMessagePack)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn slice<const LENGTH: usize>(&mut self) -> Result<&'a [u8; LENGTH], PublicationError> {
        let split = self.rest.split_first_chunk();
        let (bytes, rest) = split.ok_or(PublicationError::NotMessagePack)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], PublicationError> {
        self.slice().copied()
    }
}

/// The millisecond of a timestamp; what is below one is cut off, towards 1970.
fn date(seconds: i64, nanos: u32) -> Item<'static> {
    Item::Date((i128::from(seconds) * 1_000_000_000 + i128::from(nanos)) / 1_000_000)
}

/// Text, as Node.js reads it: what is not UTF-8 becomes replacement characters.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// JSON text with what it cannot hold beside it.
#[derive(Debug, Default)]
pub(super) struct Json {
    text: Vec<u8>,
    attachments: Vec<Bytes>,
}

impl Json {
    /// Appends the next `count` values of `reader`, separated by commas.
    pub(super) fn append(
        &mut self,
        reader: &mut Reader<'_>,
        count: u32,
    ) -> Result<(), PublicationError> {
        self.elements(reader, count, 0)
    }

    pub(super) fn finish(self) -> (String, Vec<Bytes>) {
        let text = String::from_utf8(self.text).expect("strings were made UTF-8 on the way in");
        (text, self.attachments)
    }

    fn elements(
        &mut self,
        reader: &mut Reader<'_>,
        count: u32,
        depth: usize,
    ) -> Result<(), PublicationError> {
        for index in 0..count {
            if index > 0 {
                self.text.push(b',');
            }
            let item = reader.next()?;
            self.value(item, reader, depth)?;
        }
        Ok(())
    }

    fn members(
        &mut self,
        reader: &mut Reader<'_>,
        count: u32,
        depth: usize,
    ) -> Result<(), PublicationError> {
        let mut is_first = true;
        for _ in 0..count {
            let key = key(reader.next()?)?;
            let item = reader.next()?;
            if item == Item::Undefined {
                continue;
            }
            if !is_first {
                self.text.push(b',');
            }
            is_first = false;
            self.string(&key);
            self.text.push(b':');
            self.value(item, reader, depth)?;
        }
        Ok(())
    }

    fn value(
        &mut self,
        item: Item<'_>,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), PublicationError> {
        if depth > MAX_DEPTH {
            return Err(PublicationError::TooDeep);
        }
        match item {
            Item::Nil | Item::Undefined => self.text.extend_from_slice(b"null"),
            Item::Bool(true) => self.text.extend_from_slice(b"true"),
            Item::Bool(false) => self.text.extend_from_slice(b"false"),
            Item::Unsigned(number) => self.display(number),
            Item::Signed(number) => self.display(number),
            Item::Float(number) if !number.is_finite() => self.text.extend_from_slice(b"null"),
            Item::Float(number) if number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER => {
                self.display(number as i64);
            }
            // The shortest digits that give this double again, with an exponent where long.
            Item::Float(number) => self.display(format_args!("{number:?}")),
            Item::Text(bytes) => self.string(&String::from_utf8_lossy(bytes)),
            Item::Binary(data) => self.attachment(data)?,
            Item::Date(millis) => match iso(millis) {
                Some(date) => self.string(&date),
                None => self.text.extend_from_slice(b"null"),
            },
            Item::Extension(kind, data) => {
                self.text.push(b'[');
                self.display(kind);
                self.text.push(b',');
                self.attachment(data)?;
                self.text.push(b']');
            }
            Item::Array(length) => {
                self.text.push(b'[');
                self.elements(reader, length, depth + 1)?;
                self.text.push(b']');
            }
            Item::Map(length) => {
                self.text.push(b'{');
                self.members(reader, length, depth + 1)?;
                self.text.push(b'}');
            }
        }
        Ok(())
    }

    fn attachment(&mut self, data: &[u8]) -> Result<(), PublicationError> {
        let number = self.attachments.len();
        if number == MAX_ATTACHMENTS {
            return Err(PublicationError::TooManyAttachments);
        }
        self.attachments.push(Bytes::copy_from_slice(data));
        self.display(format_args!(r#"{{"_placeholder":true,"num":{number}}}"#));
        Ok(())
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.text, text).expect("a string is JSON");
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        write!(self.text, "{value}").expect("a vector takes everything");
    }
}

/// The key that a value becomes in a JavaScript object.
fn key(item: Item<'_>) -> Result<String, PublicationError> {
    Ok(match item {
        Item::Text(bytes) | Item::Binary(bytes) => text(bytes),
        Item::Unsigned(number) => number.to_string(),
        Item::Signed(number) => number.to_string(),
        Item::Bool(is_true) => is_true.to_string(),
        Item::Nil => "null".to_owned(),
        _ => return Err(PublicationError::Form),
    })
}

/// What `Date.prototype.toJSON` gives for a millisecond since 1970; `None` for what is no date.
fn iso(millis: i128) -> Option<String> {
    const DAY: i64 = 86_400_000;
    let millis = (-MAX_DATE..=MAX_DATE)
        .contains(&millis)
        .then(|| i64::try_from(millis).ok())
        .flatten()?;
    let (days, time) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    let (hour, minute) = (time / 3_600_000, time / 60_000 % 60);
    let (second, milli) = (time / 1000 % 60, time % 1000);
    Some(format!(
        "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
    ))
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
const fn civil(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    // Years that begin in March end with their leap day; 400 of them are an era.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = match month {
        0..=9 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests;
