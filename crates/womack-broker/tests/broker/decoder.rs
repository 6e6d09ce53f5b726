//! The decoder's promises, on inputs that are generated and on those that fuzzing kept.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};

use crate::support::command;

#[path = "../checks/mod.rs"]
mod check;

#[test]
fn the_fuzzing_corpus_still_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/decoder");
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check::check(&fs::read(entry.unwrap().path()).unwrap());
        checked += 1;
    }
    assert!(checked >= 20, "{checked} files");
}

proptest! {
    #[test]
    fn cutting_any_input_anywhere_changes_nothing(
        pieces in vec(piece(), 0..8),
        cut in any::<u16>(),
    ) {
        let mut data = cut.to_be_bytes().to_vec();
        data.extend(pieces.concat());
        check::check(&data);
    }

    #[test]
    fn a_byte_at_a_time_is_as_good_as_all_at_once(pieces in vec(piece(), 0..8)) {
        let input = pieces.concat();
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(check::decode(&bytes), check::decode(&[&input]));
    }

    #[test]
    fn what_clients_encode_is_decoded(arguments in vec(vec(any::<u8>(), 0..20), 1..20)) {
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let input = command(&arguments).repeat(2);
        let (commands, error) = check::decode(&[&input]);
        prop_assert_eq!(error, None);
        prop_assert_eq!(commands, vec![arguments.clone(), arguments]);
    }
}

/// Something that a decoder might trip over, alone or in company.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(vec(any::<u8>(), 0..6), 1..4).prop_map(|arguments| {
            command(&arguments.iter().map(Vec::as_slice).collect::<Vec<_>>())
        }),
        "[*$][-+]?[0-9]{0,4}\r?\n?".prop_map(String::into_bytes),
        "[ a-z\"'\\\\x0-9]{0,12}\r?\n?".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..6),
    ]
}
