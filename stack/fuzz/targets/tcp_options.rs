//! Options of a TCP header: what is read is what is written from it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::tcp_options::run(data));
