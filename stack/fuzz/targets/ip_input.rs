//! The whole stack on a script of frames, packets, requests of a user and time.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::ip_input::run(data));
