//! What holds for everything that nodes say to one another, on inputs made up at random.

#[expect(dead_code, reason = "other tests run the others")]
mod checks;

use proptest::{collection::vec, prelude::*};

proptest! {
    #[test]
    fn what_can_be_read_is_written_as_it_was(
        letter in "[pquagxyTBSKNWGUfFrReEhH?]",
        head in any::<[u8; 12]>(),
        rest in vec(any::<u8>(), 0..64),
        sid in "[a-zA-Z0-9_-]{0,24}",
    ) {
        let length = [u8::try_from(sid.len()).expect("24 at most")];
        let bytes = [letter.as_bytes(), &head, &length, sid.as_bytes(), &rest].concat();
        checks::relay::messages(&bytes);
        checks::relay::messages(&[letter.as_bytes(), &head, &rest].concat());
        checks::relay::messages(&rest);
    }

    #[test]
    fn what_the_envelope_carries_is_read_as_it_was_written(
        head in any::<[u8; 16]>(),
        kind in 0..60_u16,
        rest in vec(any::<u8>(), 0..64),
        sid in "[a-zA-Z0-9_-]{0,24}",
    ) {
        let length = [u8::try_from(sid.len()).expect("24 at most")];
        let head = [&[0xb7, 1], &head[..], &kind.to_be_bytes()].concat();
        checks::relay::messages(&[&head[..], &length, sid.as_bytes(), &rest].concat());
        checks::relay::messages(&[&head[..], &rest].concat());
    }
}
