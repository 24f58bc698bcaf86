//! `offload::finish` on any request and any frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::offload_finish::run(data));
