#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| livestack_fuzz::check("a.png", bytes, false));
