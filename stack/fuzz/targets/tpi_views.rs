//! Addresses and words in primitives: read inside only, and written as they were read.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::tpi_views::run(data));
