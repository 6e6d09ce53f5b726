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
}
