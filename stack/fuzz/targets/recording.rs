//! Recordings of any bytes: read as far as they are sound, and written as they were read.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::recording::run(data));
