//! The form of version 0.2.0: a letter, the node, the number, and what the letter needs.
//!
//! ```text
//! 'p' | node, 4 bytes | number, 8 bytes | length of the sid, 1 byte | sid | body
//! ```
//!
//! Numbers are big-endian. Version 0.2.0 sends `h` with any number and returns it with `H`; a node
//! that understands the envelope has its greeting there:
//!
//! ```text
//! "WMk" | version of the envelope, with the highest bit set after a new link | epoch, 4 bytes
//! ```

use bytes::{BufMut, Bytes};

use super::{
    Flow, Kind, Message, Wish, envelope, packets, put_sid, refusal::Refusal, refused, take_sid,
};
use crate::{
    answer::{Answer, PollBody},
    payload::Content,
};

/// The number of a greeting begins with these three bytes. Version 0.2.0 counts its numbers from 0.
const GREETING: [u8; 3] = *b"WMk";
/// Set in a greeting beside the version.
const IS_NEW_LINK: u8 = 0x80;

/// Writes a message; `None` if it cannot be said in this form.
pub(super) fn encode(message: &Message) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    out.put_u8(letter(&message.kind)?);
    out.put_u32(message.node);
    out.put_u64(match (&message.kind, message.epoch) {
        (Kind::Hello { is_new_link }, Some(epoch)) => greeting(*is_new_link, epoch),
        _ => message.number,
    });
    match &message.kind {
        Kind::Ask { sid, wish } => {
            put_sid(&mut out, sid);
            if let Wish::Post(bytes) | Wish::Upgrade(bytes) | Wish::Attach(bytes) = wish {
                out.put_slice(bytes);
            }
        }
        Kind::Answer(Answer::Packets(PollBody { bytes, .. }))
        | Kind::Forth(Flow::Bytes(bytes))
        | Kind::Back(Flow::Bytes(bytes)) => out.put_slice(bytes),
        Kind::Forth(Flow::Room(room)) | Kind::Back(Flow::Room(room)) => out.put_u32(*room),
        _ => {}
    }
    Some(out)
}

/// Reads a message; `None` for anything else.
pub(super) fn decode(bytes: &Bytes) -> Option<Message> {
    let (letter, rest) = bytes.split_first()?;
    let (node, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let number = u64::from_be_bytes(*number);
    let mut kind = decode_kind(*letter, bytes.slice_ref(rest))?;
    let mut epoch = None;
    if let (Kind::Hello { is_new_link }, Some(greeting)) = (&mut kind, read_greeting(number)) {
        *is_new_link = greeting.0;
        epoch = Some(greeting.1);
    }
    Some(Message {
        node: u32::from_be_bytes(*node),
        epoch,
        number,
        kind,
    })
}

/// The number of a [`Kind::Hello`] that says what its sender understands.
fn greeting(is_new_link: bool, epoch: u32) -> u64 {
    let [a, b, c] = GREETING;
    let flag = if is_new_link { IS_NEW_LINK } else { 0 };
    let head = u32::from_be_bytes([a, b, c, envelope::VERSION | flag]);
    u64::from(head) << 32 | u64::from(epoch)
}

/// Whether the link is new, and its epoch. A later version understands this one's envelope too.
fn read_greeting(number: u64) -> Option<(bool, u32)> {
    let [a, b, c, version, epoch @ ..] = number.to_be_bytes();
    let is_version = version & !IS_NEW_LINK >= envelope::VERSION;
    let is_greeting = [a, b, c] == GREETING && is_version;
    is_greeting.then(|| (version & IS_NEW_LINK != 0, u32::from_be_bytes(epoch)))
}

fn letter(kind: &Kind) -> Option<u8> {
    Some(match kind {
        Kind::Ask { wish, .. } => match wish {
            Wish::Poll { .. } => b'p',
            Wish::Post(_) => b'q',
            Wish::Upgrade(_) => b'u',
            Wish::Attach(_) => b'a',
            Wish::Goodbye => b'g',
        },
        Kind::Gone => b'x',
        Kind::Enough => b'y',
        Kind::Lost { .. } => return None,
        Kind::Answer(answer) => match answer {
            Answer::Packets(PollBody {
                content: Content::Text,
                ..
            }) => b'T',
            Answer::Packets(PollBody {
                content: Content::Bytes,
                ..
            }) => b'B',
            Answer::Packets(PollBody {
                content: Content::Script,
                ..
            }) => b'S',
            Answer::Taken => b'K',
            Answer::Refused(error) => match Refusal::from(*error) {
                Refusal::UnknownSid => b'N',
                Refusal::BadRequest => b'W',
                Refusal::Ended => b'G',
                Refusal::Unavailable => b'U',
            },
        },
        Kind::Forth(Flow::Bytes(_)) => b'f',
        Kind::Forth(Flow::Room(_)) => b'r',
        Kind::Forth(Flow::End) => b'e',
        Kind::Back(Flow::Bytes(_)) => b'F',
        Kind::Back(Flow::Room(_)) => b'R',
        Kind::Back(Flow::End) => b'E',
        Kind::Hello { .. } => b'h',
        Kind::Here => b'H',
    })
}

fn decode_kind(letter: u8, mut rest: Bytes) -> Option<Kind> {
    let room = |rest: &Bytes| Some(Flow::Room(u32::from_be_bytes(rest[..].try_into().ok()?)));
    let kind = match letter {
        b'f' => return Some(Kind::Forth(Flow::Bytes(rest))),
        b'F' => return Some(Kind::Back(Flow::Bytes(rest))),
        b'r' => return room(&rest).map(Kind::Forth),
        b'R' => return room(&rest).map(Kind::Back),
        b'T' => return Some(packets(Content::Text, rest)),
        b'B' => return Some(packets(Content::Bytes, rest)),
        b'S' => return Some(packets(Content::Script, rest)),
        b'p' | b'q' | b'u' | b'a' | b'g' => {
            let sid = take_sid(&mut rest)?;
            let wish = match letter {
                b'q' => Wish::Post(rest),
                b'u' => Wish::Upgrade(rest),
                b'a' => Wish::Attach(rest),
                b'p' if rest.is_empty() => Wish::Poll { stamp: None },
                b'g' if rest.is_empty() => Wish::Goodbye,
                _ => return None,
            };
            return Some(Kind::Ask { sid, wish });
        }
        b'x' => Kind::Gone,
        b'y' => Kind::Enough,
        b'K' => Kind::Answer(Answer::Taken),
        b'N' => refused(Refusal::UnknownSid),
        b'W' => refused(Refusal::BadRequest),
        b'G' => refused(Refusal::Ended),
        b'U' => refused(Refusal::Unavailable),
        b'e' => Kind::Forth(Flow::End),
        b'E' => Kind::Back(Flow::End),
        b'h' => Kind::Hello { is_new_link: false },
        b'H' => Kind::Here,
        _ => return None,
    };
    rest.is_empty().then_some(kind)
}
