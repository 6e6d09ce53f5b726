//! Any bytes, cut anywhere: `cargo +nightly fuzz run decoder`

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../check.rs"]
mod check;

fuzz_target!(|data: &[u8]| check::check(data));
