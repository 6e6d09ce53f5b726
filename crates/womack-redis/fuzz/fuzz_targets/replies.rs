//! Any bytes, at once and one by one: `cargo +nightly fuzz run replies`

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/checks/mod.rs"]
mod check;

fuzz_target!(|data: &[u8]| check::replies(data));
