//! ICMP messages: read, answered, and errors made about them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::icmp::run(data));
