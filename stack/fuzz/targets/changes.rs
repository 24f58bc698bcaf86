//! Streams put to, run and changed in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::changes::run(data));
