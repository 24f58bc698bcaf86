//! The compiler of .x files, on any text: it writes Rust, or says where what is wrong.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::rpcgen::run(data));
