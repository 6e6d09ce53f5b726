//! What holds for whatever Redis says, on replies made up at random.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*};

mod checks;

/// Replays the corpus of the fuzz target, and each beginning of its files, so that what was once
/// found stays found.
#[test]
fn the_fuzzing_corpus_still_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/replies");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder of corpus files") {
        let data = entry
            .and_then(|entry| fs::read(entry.path()))
            .expect("a readable file");
        for end in 0..=data.len() {
            checks::replies(&data[..end]);
        }
        count += 1;
    }
    assert!(count >= 16, "{count} files");
}

/// Replies, and bits of them in any order.
fn replies() -> impl Strategy<Value = Vec<u8>> {
    let text = "[a-c\r\n]{0,4}".prop_map(|text| format!("${}\r\n{text}\r\n", text.len()));
    let mark = prop::sample::select(vec!["*", ">"]);
    let message = (mark, text.clone(), text).prop_map(|(mark, channel, payload)| {
        format!("{mark}3\r\n$7\r\nmessage\r\n{channel}{payload}").into_bytes()
    });
    let bit = prop::sample::select(vec![
        "*3\r\n",
        ">3\r\n",
        ">2\r\n",
        "*2\r\n",
        "%1\r\n",
        "|1\r\n",
        "~1\r\n",
        "=5\r\ntxt:a\r\n",
        "!3\r\nERR\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(1\r\n",
        "$7\r\nmessage\r\n",
        "$9\r\nsubscribe\r\n",
        "$1\r\na\r\n",
        "$-1\r\n",
        ":1\r\n",
        "+PONG\r\n",
        "-ERR\r\n",
        "\r",
        "\n",
        "9",
    ]);
    let bits = bit.prop_map(|bit| bit.as_bytes().to_vec());
    vec(prop_oneof![2 => message, 3 => bits], 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn replies_are_understood_in_pieces_as_at_once(data in replies()) {
        checks::replies(&data);
    }
}
