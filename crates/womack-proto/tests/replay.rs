//! Replays the corpus of the fuzz targets, so that what they once found stays found.

mod checks;

use std::{fs, path::Path};

#[test]
fn packets() {
    replay("packets", checks::packets);
}

#[test]
fn polling() {
    replay("polling", checks::polling);
}

#[test]
fn counted() {
    replay("counted", checks::counted);
}

#[test]
fn envelopes() {
    replay("envelopes", checks::envelopes);
}

#[test]
fn frames() {
    replay("frames", checks::frames);
}

#[test]
fn queries() {
    replay("queries", checks::queries);
}

#[test]
fn publishers() {
    replay("publishers", checks::publishers::messages);
}

#[test]
fn relay() {
    replay("relay", checks::relay::messages);
}

#[test]
fn sessions() {
    replay("sessions", checks::sessions);
}

#[test]
fn legacy_packets() {
    replay("legacy_packets", checks::legacy::packets);
}

#[test]
fn legacy_polling() {
    replay("legacy_polling", checks::legacy::polling);
}

#[test]
fn legacy_requests() {
    replay("legacy_requests", checks::legacy::requests);
}

#[test]
fn plain_requests() {
    replay("plain_requests", checks::plain::requests);
}

#[test]
fn plain_targets() {
    replay("plain_targets", checks::plain::targets);
}

/// Runs `check` on each file of the corpus of `target`, and on each beginning of it.
fn replay(target: &str, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&directory).expect("a folder of corpus files") {
        let data = entry
            .and_then(|entry| fs::read(entry.path()))
            .expect("a readable file");
        for end in 0..=data.len() {
            check(&data[..end]);
        }
        count += 1;
    }
    assert!(count > 0, "no corpus in {}", directory.display());
}
