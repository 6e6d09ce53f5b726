use super::*;
use crate::SessionError;

const NODE: u32 = 0x0102_0304;

fn message(epoch: Option<u32>, kind: Kind) -> Message {
    Message {
        node: NODE,
        epoch,
        number: 5,
        kind,
    }
}

fn ask(wish: Wish) -> Kind {
    Kind::Ask {
        sid: "abc".to_owned(),
        wish,
    }
}

fn lost(loss: AnswerLoss) -> Kind {
    Kind::Lost {
        sid: "abc".to_owned(),
        loss,
    }
}

const fn bytes(bytes: &'static [u8]) -> Bytes {
    Bytes::from_static(bytes)
}

/// A kind, and how it is written.
struct Written {
    kind: Kind,
    /// The letter and the rest that version 0.2.0 wrote for it, if it knew it.
    first: Option<(u8, &'static [u8])>,
    /// The number and the body that it has in the envelope.
    number: u16,
    body: &'static [u8],
}

/// A kind that has the same rest in both forms.
const fn same(kind: Kind, letter: u8, number: u16, body: &'static [u8]) -> Written {
    let first = Some((letter, body));
    Written {
        kind,
        first,
        number,
        body,
    }
}

/// A kind that version 0.2.0 does not know, or writes in another way.
const fn other(
    kind: Kind,
    first: Option<(u8, &'static [u8])>,
    number: u16,
    body: &'static [u8],
) -> Written {
    Written {
        kind,
        first,
        number,
        body,
    }
}

fn requests() -> Vec<Written> {
    let (poll, upgrade) = (Wish::Poll { stamp: None }, Wish::Upgrade(bytes(b"\x81")));
    let (certain, repeated) = (AnswerLoss::Certain, AnswerLoss::IfRepeated(6));
    vec![
        same(ask(poll), b'p', 16, b"\x03abc"),
        same(ask(Wish::Post(bytes(b"40"))), b'q', 17, b"\x03abc40"),
        same(ask(upgrade), b'u', 18, b"\x03abc\x81"),
        same(ask(Wish::Attach(bytes(b""))), b'a', 19, b"\x03abc"),
        same(ask(Wish::Goodbye), b'g', 20, b"\x03abc"),
        same(Kind::Gone, b'x', 21, b""),
        same(Kind::Enough, b'y', 22, b""),
        other(lost(certain), None, 23, b"\x03abc"),
        other(lost(repeated), None, 24, b"\x03abc\0\0\0\0\0\0\0\x06"),
    ]
}

fn answers() -> Vec<Written> {
    let packets = |content| packets(content, bytes(b"2"));
    let refused = |error| Kind::Answer(Answer::Refused(error));
    let flow = || Flow::Bytes(bytes(b"x"));
    let hello = Kind::Hello { is_new_link: false };
    vec![
        same(packets(Content::Text), b'T', 32, b"2"),
        same(packets(Content::Bytes), b'B', 33, b"2"),
        same(packets(Content::Script), b'S', 34, b"2"),
        same(Kind::Answer(Answer::Taken), b'K', 35, b""),
        same(refused(SessionError::UnknownSid), b'N', 36, b""),
        same(refused(SessionError::BadRequest), b'W', 37, b""),
        same(refused(SessionError::Ended), b'G', 38, b""),
        same(refused(SessionError::Overloaded), b'U', 39, b""),
        same(Kind::Forth(flow()), b'f', 48, b"x"),
        same(Kind::Forth(Flow::Room(7)), b'r', 49, b"\0\0\0\x07"),
        same(Kind::Forth(Flow::End), b'e', 50, b""),
        same(Kind::Back(flow()), b'F', 51, b"x"),
        same(Kind::Back(Flow::Room(7)), b'R', 52, b"\0\0\0\x07"),
        same(Kind::Back(Flow::End), b'E', 53, b""),
        other(hello, Some((b'h', b"")), 1, b"\0"),
        same(Kind::Here, b'H', 2, b""),
    ]
}

#[test]
fn version_0_2_0_is_understood_and_spoken_byte_for_byte() {
    for Written { kind, first, .. } in requests().into_iter().chain(answers()) {
        let whole = message(None, kind);
        let encoded = whole.encode(Form::First);
        let Some((letter, rest)) = first else {
            assert_eq!(encoded, None, "{whole:?}");
            continue;
        };
        let head: &[u8] = &[letter, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5];
        let expected = [head, rest].concat();
        assert_eq!(encoded.as_deref(), Some(&expected[..]), "{whole:?}");
        assert_eq!(Message::decode(&expected.into()), Ok(whole));
    }
}

#[test]
fn the_envelope_has_the_bytes_that_are_written_down() {
    for written in requests().into_iter().chain(answers()) {
        let Written {
            kind, number, body, ..
        } = written;
        let whole = message(Some(9), kind);
        let head: &[u8] = b"\xb7\x01\x01\x02\x03\x04\0\0\0\x09\0\0\0\0\0\0\0\x05";
        let expected = [head, &number.to_be_bytes(), body].concat();
        let encoded = whole.encode(Form::Envelope);
        assert_eq!(encoded.as_deref(), Some(&expected[..]), "{whole:?}");
        assert_eq!(Message::decode(&expected.into()), Ok(whole));
    }
}

#[test]
fn a_greeting_is_a_hello_to_version_0_2_0_and_tells_others_version_and_epoch() {
    for (is_new_link, version) in [(false, 0x01), (true, 0x81)] {
        let hello = message(Some(9), Kind::Hello { is_new_link });
        let encoded = hello.encode(Form::First).unwrap();
        let number = [b'W', b'M', b'k', version, 0, 0, 0, 9];
        let expected = [b"h\x01\x02\x03\x04", &number[..]].concat();
        assert_eq!(encoded, expected);
        let read = Message::decode(&expected.into()).unwrap();
        assert_eq!((read.epoch, read.kind), (Some(9), hello.kind));
        assert_eq!(read.number, u64::from_be_bytes(number));
    }
}

#[test]
fn later_versions_and_kinds_are_told_from_what_is_broken() {
    let whole = message(Some(9), Kind::Here).encode(Form::Envelope).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = whole.clone();
        bytes[at] = to;
        Message::decode(&bytes.into())
    };
    assert_eq!(changed(1, 2), Err(Unreadable::Version(2)));
    assert_eq!(changed(1, 0), Err(Unreadable::Malformed));
    for kind in [0, 3, 25, 40, 54, 255] {
        assert_eq!(changed(19, kind), Err(Unreadable::Kind(kind.into())));
    }
    assert_eq!(
        Message::decode(&bytes(&[b'?'; 32])),
        Err(Unreadable::Malformed)
    );
}

#[test]
fn what_is_cut_short_is_no_message() {
    let kinds = [ask(Wish::Goodbye), Kind::Back(Flow::Room(7)), Kind::Here];
    for kind in kinds {
        for form in [Form::First, Form::Envelope] {
            let epoch = (form == Form::Envelope).then_some(9);
            let whole = Bytes::from(message(epoch, kind.clone()).encode(form).unwrap());
            for at in 0..whole.len() {
                let cut = Message::decode(&whole.slice(..at));
                assert_eq!(cut, Err(Unreadable::Malformed), "{at}");
            }
        }
    }
}

#[test]
fn a_later_version_may_add_to_a_body_of_the_envelope_but_not_to_the_first_form() {
    let longer = |form, epoch| {
        let mut bytes = message(epoch, Kind::Here).encode(form).unwrap();
        bytes.push(b'!');
        Message::decode(&bytes.into())
    };
    assert_eq!(longer(Form::First, None), Err(Unreadable::Malformed));
    assert_eq!(
        longer(Form::Envelope, Some(9)),
        Ok(message(Some(9), Kind::Here))
    );
}
