//! Any bytes, at once and one by one: `make fuzz`

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/checks/mod.rs"]
mod check;

fuzz_target!(|data: &[u8]| check::replies(data));
