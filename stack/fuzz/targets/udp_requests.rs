//! Requests of a user of udp, as any bytes: each is refused or done, and leaves nothing behind.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::udp_requests::run(data));
