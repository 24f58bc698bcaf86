//! Reassembly against a map of bytes: what comes out is what was put in, once, or nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::reassembly::run(data));
