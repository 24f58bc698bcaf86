//! tcp between users who ask for anything and peers who send anything, in virtual time.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::tcp_machine::run(data));
