//! Call and reply headers from any octets: what is read is written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::rpc_headers::run(data));
