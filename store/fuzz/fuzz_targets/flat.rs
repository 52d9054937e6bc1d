//! `cargo +nightly fuzz run --fuzz-dir store/fuzz --features libfuzzer flat`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerlift_fuzz::run("flat", bytes));
