//! The envelope: one head for everything that nodes say to one another.
//!
//! ```text
//! 0xB7 | version, 1 byte | node, 4 bytes | epoch, 4 bytes | number, 8 bytes | kind, 2 bytes | body
//! ```
//!
//! Numbers are big-endian. No letter of the [first form](super::first) is 0xB7. A later version may
//! add kinds, and bytes behind bodies of a fixed length; it raises the version only when the head
//! changes. Receivers skip and count versions and kinds that they do not know.

use bytes::{Buf, BufMut, Bytes};

use super::{
    AnswerLoss, Flow, Kind, Message, Unreadable, Wish, packets, put_sid, refusal::Refusal, refused,
    take_sid,
};
use crate::{
    answer::{Answer, PollBody},
    payload::Content,
};

/// The first byte of every envelope.
pub(super) const MAGIC: u8 = 0xb7;
/// The version that is written.
pub(super) const VERSION: u8 = 1;
/// Bytes before the body.
const HEAD_BYTES: usize = 20;

/// The numbers of kinds. A number is never given to another kind.
mod number {
    pub(super) const HELLO: u16 = 1;
    pub(super) const HERE: u16 = 2;

    pub(super) const POLL: u16 = 16;
    pub(super) const POST: u16 = 17;
    pub(super) const UPGRADE: u16 = 18;
    pub(super) const ATTACH: u16 = 19;
    pub(super) const GOODBYE: u16 = 20;
    pub(super) const GONE: u16 = 21;
    pub(super) const ENOUGH: u16 = 22;
    pub(super) const LOST: u16 = 23;
    pub(super) const LOST_IF_REPEATED: u16 = 24;

    pub(super) const TEXT: u16 = 32;
    pub(super) const BYTES: u16 = 33;
    pub(super) const SCRIPT: u16 = 34;
    pub(super) const TAKEN: u16 = 35;
    pub(super) const UNKNOWN_SID: u16 = 36;
    pub(super) const BAD_REQUEST: u16 = 37;
    pub(super) const ENDED: u16 = 38;
    pub(super) const UNAVAILABLE: u16 = 39;

    pub(super) const FORTH: u16 = 48;
    pub(super) const FORTH_ROOM: u16 = 49;
    pub(super) const FORTH_END: u16 = 50;
    pub(super) const BACK: u16 = 51;
    pub(super) const BACK_ROOM: u16 = 52;
    pub(super) const BACK_END: u16 = 53;
}

/// Writes a message.
pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.put_u8(MAGIC);
    out.put_u8(VERSION);
    out.put_u32(message.node);
    out.put_u32(message.epoch.unwrap_or_default());
    out.put_u64(message.number);
    out.put_u16(kind_number(&message.kind));
    match &message.kind {
        Kind::Ask { sid, wish } => {
            put_sid(&mut out, sid);
            match wish {
                Wish::Poll { stamp: Some(stamp) } => out.put_u64(*stamp),
                Wish::Poll { stamp: None } | Wish::Goodbye => {}
                Wish::Post(bytes) | Wish::Upgrade(bytes) | Wish::Attach(bytes) => {
                    out.put_slice(bytes);
                }
            }
        }
        Kind::Lost { sid, loss } => {
            put_sid(&mut out, sid);
            if let AnswerLoss::IfRepeated(stamp) = loss {
                out.put_u64(*stamp);
            }
        }
        Kind::Answer(Answer::Packets(PollBody { bytes, .. }))
        | Kind::Forth(Flow::Bytes(bytes))
        | Kind::Back(Flow::Bytes(bytes)) => out.put_slice(bytes),
        Kind::Forth(Flow::Room(room)) | Kind::Back(Flow::Room(room)) => out.put_u32(*room),
        Kind::Hello { is_new_link } => out.put_u8(u8::from(*is_new_link)),
        _ => {}
    }
    out
}

/// Reads a message.
///
/// # Errors
/// Why it is to be skipped.
pub(super) fn decode(bytes: &Bytes) -> Result<Message, Unreadable> {
    match bytes.get(1) {
        Some(&VERSION) if bytes.len() >= HEAD_BYTES => {}
        Some(&version) if version > VERSION => return Err(Unreadable::Version(version)),
        _ => return Err(Unreadable::Malformed),
    }
    let mut rest = bytes.slice(2..);
    let (node, epoch, number) = (rest.get_u32(), rest.get_u32(), rest.get_u64());
    let kind = rest.get_u16();
    if !is_known(kind) {
        return Err(Unreadable::Kind(kind));
    }
    Ok(Message {
        node,
        epoch: Some(epoch),
        number,
        kind: decode_kind(kind, rest).ok_or(Unreadable::Malformed)?,
    })
}

const fn is_known(kind: u16) -> bool {
    use number::{BACK_END, FORTH, HELLO, HERE, LOST_IF_REPEATED, POLL, TEXT, UNAVAILABLE};
    matches!(
        kind,
        HELLO..=HERE | POLL..=LOST_IF_REPEATED | TEXT..=UNAVAILABLE | FORTH..=BACK_END
    )
}

fn kind_number(kind: &Kind) -> u16 {
    match kind {
        Kind::Hello { .. } => number::HELLO,
        Kind::Here => number::HERE,
        Kind::Ask { wish, .. } => match wish {
            Wish::Poll { .. } => number::POLL,
            Wish::Post(_) => number::POST,
            Wish::Upgrade(_) => number::UPGRADE,
            Wish::Attach(_) => number::ATTACH,
            Wish::Goodbye => number::GOODBYE,
        },
        Kind::Gone => number::GONE,
        Kind::Enough => number::ENOUGH,
        Kind::Lost { loss, .. } => match loss {
            AnswerLoss::Certain => number::LOST,
            AnswerLoss::IfRepeated(_) => number::LOST_IF_REPEATED,
        },
        Kind::Answer(answer) => match answer {
            Answer::Packets(PollBody {
                content: Content::Text,
                ..
            }) => number::TEXT,
            Answer::Packets(PollBody {
                content: Content::Bytes,
                ..
            }) => number::BYTES,
            Answer::Packets(PollBody {
                content: Content::Script,
                ..
            }) => number::SCRIPT,
            Answer::Taken => number::TAKEN,
            Answer::Refused(error) => match Refusal::from(*error) {
                Refusal::UnknownSid => number::UNKNOWN_SID,
                Refusal::BadRequest => number::BAD_REQUEST,
                Refusal::Ended => number::ENDED,
                Refusal::Unavailable => number::UNAVAILABLE,
            },
        },
        Kind::Forth(Flow::Bytes(_)) => number::FORTH,
        Kind::Forth(Flow::Room(_)) => number::FORTH_ROOM,
        Kind::Forth(Flow::End) => number::FORTH_END,
        Kind::Back(Flow::Bytes(_)) => number::BACK,
        Kind::Back(Flow::Room(_)) => number::BACK_ROOM,
        Kind::Back(Flow::End) => number::BACK_END,
    }
}

fn decode_kind(kind: u16, mut rest: Bytes) -> Option<Kind> {
    Some(match kind {
        number::HELLO => Kind::Hello {
            is_new_link: *rest.first()? & 1 == 1,
        },
        number::HERE => Kind::Here,
        number::POLL | number::POST | number::UPGRADE | number::ATTACH | number::GOODBYE => {
            let sid = take_sid(&mut rest)?;
            let wish = match kind {
                number::POLL => Wish::Poll {
                    stamp: rest.try_get_u64().ok(),
                },
                number::POST => Wish::Post(rest),
                number::UPGRADE => Wish::Upgrade(rest),
                number::ATTACH => Wish::Attach(rest),
                _ => Wish::Goodbye,
            };
            Kind::Ask { sid, wish }
        }
        number::GONE => Kind::Gone,
        number::ENOUGH => Kind::Enough,
        number::LOST | number::LOST_IF_REPEATED => {
            let sid = take_sid(&mut rest)?;
            let loss = match kind {
                number::LOST => AnswerLoss::Certain,
                _ => AnswerLoss::IfRepeated(rest.try_get_u64().ok()?),
            };
            Kind::Lost { sid, loss }
        }
        number::TEXT => packets(Content::Text, rest),
        number::BYTES => packets(Content::Bytes, rest),
        number::SCRIPT => packets(Content::Script, rest),
        number::TAKEN => Kind::Answer(Answer::Taken),
        number::UNKNOWN_SID => refused(Refusal::UnknownSid),
        number::BAD_REQUEST => refused(Refusal::BadRequest),
        number::ENDED => refused(Refusal::Ended),
        number::UNAVAILABLE => refused(Refusal::Unavailable),
        number::FORTH => Kind::Forth(Flow::Bytes(rest)),
        number::FORTH_ROOM => Kind::Forth(Flow::Room(rest.try_get_u32().ok()?)),
        number::FORTH_END => Kind::Forth(Flow::End),
        number::BACK => Kind::Back(Flow::Bytes(rest)),
        number::BACK_ROOM => Kind::Back(Flow::Room(rest.try_get_u32().ok()?)),
        number::BACK_END => Kind::Back(Flow::End),
        _ => return None,
    })
}
