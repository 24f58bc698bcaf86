//! Frames and requests of users of a data link.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::dlpi_requests::run(data));
