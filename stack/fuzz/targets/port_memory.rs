//! A program that writes anything into the memory that it shares with a stack.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::port_memory::run(data));
