#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ctwarden_fuzz::targets::crl(bytes));
