//! Any bytes, cut anywhere: `cargo +nightly fuzz run decoder`

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/checks/mod.rs"]
mod check;

fuzz_target!(|data: &[u8]| check::check(data));
