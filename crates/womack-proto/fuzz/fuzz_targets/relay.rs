#![no_main]

#[path = "../../tests/checks/mod.rs"]
#[expect(dead_code, reason = "each target runs one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::relay::messages(data));
